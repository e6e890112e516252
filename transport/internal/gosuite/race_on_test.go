//go:build race

package gosuite

// raceEnabled: Go's tests run with the race detector where this test does.
const raceEnabled = true
