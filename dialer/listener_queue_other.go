//go:build !unix

package dialer

import (
	"errors"
	"fmt"
)

// queued would look into the queue.
func (l *Listener) queued() (bool, error) {
	return false, fmt.Errorf("dialer: closed without a look at the queue: %w on this system", errors.ErrUnsupported)
}
