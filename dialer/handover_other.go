//go:build !unix

package dialer

import (
	"errors"
	"fmt"
	"os"
)

const passesDescriptors = false

var errNotPassed = fmt.Errorf("passing descriptors: %w on this system", errors.ErrUnsupported)

func (l *Listener) copyFD() (*os.File, uint64, error) { return nil, 0, errNotPassed }

func listeningTCP(int) (uint64, error) { return 0, errNotPassed }

func (lc *ListenConfig) copyOf(int, string) (*Listener, error) { return nil, errNotPassed }

func closeFD(int) {}
