//go:build race

package dialer_test

// poolLosses is how many allocations more a dial makes on average because the
// race detector has a sync.Pool lose some of what is put into it.
const poolLosses = 3
