//go:build unix && !solaris && !illumos && !aix

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// size is that of the terminal that w is.
func size(w io.Writer) (rows, columns int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0, false
	}
	s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || s.Row == 0 || s.Col == 0 {
		return 0, 0, false
	}
	return int(s.Row), int(s.Col), true
}
