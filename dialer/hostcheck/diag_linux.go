package hostcheck

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// eachDiag asks the kernel over netlink. A request is for one family.
func eachDiag(ctx context.Context, f *Filter, visit func(*Socket) bool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("hostcheck: sock_diag: %w", os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	// The kernel answers within the call that asks. Should it ever not, this
	// does not hang.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return fmt.Errorf("hostcheck: sock_diag: %w", os.NewSyscallError("setsockopt", err))
	}
	// The kernel fills at most 32 KiB at a time.
	buf := make([]byte, 64<<10)
	for seq, family := range f.families() {
		d := dump{fd: fd, seq: uint32(seq + 1), filter: f, visit: visit}
		if err := d.run(ctx, family, buf); err != nil {
			return fmt.Errorf("hostcheck: sock_diag: %w", err)
		}
		if d.stopped {
			return nil
		}
	}
	return nil
}

// families are those whose sockets can match. IPv6 sockets can have connections
// over IPv4.
func (f *Filter) families() []uint8 {
	if f.Destination.IsValid() && f.Destination.Addr().Is6() {
		return []uint8{unix.AF_INET6}
	}
	return []uint8{unix.AF_INET, unix.AF_INET6}
}

// dump is one question to the kernel and the many messages of its answer.
type dump struct {
	fd      int
	seq     uint32
	filter  *Filter
	visit   func(*Socket) bool
	socket  Socket
	stopped bool // visit wants no more
}

func (d *dump) run(ctx context.Context, family uint8, buf []byte) error {
	if err := unix.Sendto(d.fd, request(d.filter, family, d.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := receive(d.fd, buf)
		if err != nil {
			return err
		}
		if done, err := d.read(b); done || err != nil {
			return err
		}
	}
}

// receive returns the next part of the answer.
func receive(fd int, buf []byte) ([]byte, error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(fd, buf, nil, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvmsg", err)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 {
			continue // a process can send to us, too
		}
		if flags&unix.MSG_TRUNC != 0 {
			return nil, fmt.Errorf("a message of more than %d bytes was cut off", len(buf))
		}
		return buf[:n], nil
	}
}

// read goes through the messages and reports whether the answer ends with them.
func (d *dump) read(b []byte) (done bool, err error) {
	for len(b) > 0 {
		var m message
		if m, b, err = nextMessage(b); err != nil {
			return false, err
		}
		if m.seq != d.seq {
			continue
		}
		if m.flags&unix.NLM_F_DUMP_INTR != 0 {
			return false, errInterrupted
		}
		switch m.kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, m.errno()
		case unix.NLMSG_OVERRUN:
			return false, errInterrupted
		case unix.SOCK_DIAG_BY_FAMILY:
			if err := d.socket.parse(m.body); err != nil {
				return false, err
			}
			if d.filter.matches(&d.socket) && !d.visit(&d.socket) {
				d.stopped = true
				return true, nil
			}
		}
	}
	return false, nil
}

// message is one of netlink's, struct nlmsghdr and what follows it.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, fmt.Errorf("%d bytes are too few for a message", len(b))
	}
	size := binary.NativeEndian.Uint32(b)
	if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) {
		return m, nil, fmt.Errorf("a message says that it has %d bytes of %d", size, len(b))
	}
	m = message{
		kind:  binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		body:  b[unix.SizeofNlMsghdr:size],
	}
	return m, b[min(int(size+3)&^3, len(b)):], nil
}

// errno is the error that the end of an answer carries as a negative number.
func (m message) errno() error {
	if len(m.body) < 4 {
		return nil // before Linux 2.6.26 the end said nothing
	}
	if n := int32(binary.NativeEndian.Uint32(m.body)); n != 0 {
		return unix.Errno(-n)
	}
	return nil
}
