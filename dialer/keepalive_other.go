//go:build !linux

package dialer

// keepAlive is nothing here: net.Dialer sees to it.
type keepAlive struct{}

const setsKeepAlive = false

func keepAliveOf(*Dialer) keepAlive { return keepAlive{} }
