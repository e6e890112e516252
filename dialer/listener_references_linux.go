package dialer

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// references is the kernel's count of references to the listening socket, from
// /proc/net/tcp or tcp6. A dump by sock_diag tells of handshakes, too, but not
// whose they are where listeners share a port, and walks the table of all
// connections, several times: 10 ms, where this takes 0.1 on a host that has
// connections, and 3 on one that has none.
func (l *Listener) references() (int, error) {
	var id uint64
	var domain int
	var err error
	cerr := l.raw.Control(func(fd uintptr) {
		if id, err = inode(int(fd)); err == nil {
			domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		}
	})
	if cerr != nil || err != nil {
		return 0, errors.Join(cerr, err)
	}
	name := "/proc/thread-self/net/tcp"
	if domain == unix.AF_INET6 {
		name += "6"
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return referencesIn(bufio.NewReaderSize(f, piece), strconv.FormatUint(id, 10))
}

// Columns of /proc/net/tcp.
const (
	columnState      = 3
	columnInode      = 9
	columnReferences = 10
)

// piece is how much is read at a time, about a line. Listening sockets stand
// first, and for each line that is asked for beyond the one that is wanted the
// kernel looks for another socket, through all of a table that is large and may
// be empty.
const piece = 150

// referencesIn finds the socket with this inode.
func referencesIn(r *bufio.Reader, inode string) (int, error) {
	if err := skipLine(r); err != nil {
		return 0, err
	}
	for {
		var columns [columnReferences + 1]string
		for i := range columns {
			var err error
			if columns[i], err = word(r); err != nil {
				return 0, err
			}
		}
		if columns[columnInode] == inode {
			return strconv.Atoi(columns[columnReferences])
		}
		if columns[columnState] != "0A" {
			return 0, fmt.Errorf("dialer: /proc does not list the listening socket %s", inode)
		}
		if err := skipLine(r); err != nil {
			return 0, err
		}
	}
}

// word reads what stands up to the next space, and that one.
func word(r *bufio.Reader) (string, error) {
	var w []byte
	for {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return "", err
		case b != ' ':
			w = append(w, b)
		case len(w) > 0:
			return string(w), nil
		}
	}
}

func skipLine(r *bufio.Reader) error {
	for {
		if b, err := r.ReadByte(); err != nil || b == '\n' {
			return err
		}
	}
}
