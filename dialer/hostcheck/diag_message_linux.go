package hostcheck

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Parts of linux/inet_diag.h.
const (
	sizeofDiagRequest  = 56 // struct inet_diag_req_v2
	sizeofDiagMessage  = 72 // struct inet_diag_msg
	diagRequestFilter  = 1  // INET_DIAG_REQ_BYTECODE
	diagFilterDestCond = 8  // INET_DIAG_BC_D_COND
	diagTimerTimeWait  = 3
)

// request asks for all sockets of the family that the filter wants.
func request(f *Filter, family uint8, seq uint32) []byte {
	code := bytecode(f)
	b := make([]byte, unix.SizeofNlMsghdr+sizeofDiagRequest, unix.SizeofNlMsghdr+sizeofDiagRequest+4+len(code))
	b[16], b[17] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[20:], f.mask())
	if code != nil {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(code)))
		b = binary.NativeEndian.AppendUint16(b, diagRequestFilter)
		b = append(b, code...)
	}
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return b
}

// bytecode is the program, of one instruction, that the kernel runs on each
// socket to leave out those with another remote end: struct inet_diag_bc_op, then
// struct inet_diag_hostcond. Nil if any remote end will do.
func bytecode(f *Filter) []byte {
	if f.Port == 0 && !f.Destination.IsValid() {
		return nil
	}
	family, bits, addr := uint8(unix.AF_UNSPEC), 0, []byte(nil)
	if p := f.Destination; p.IsValid() {
		family, bits, addr = unix.AF_INET, p.Bits(), p.Addr().AsSlice()
		if p.Addr().Is6() {
			family = unix.AF_INET6
		}
	}
	port := int32(-1) // any
	if f.Port != 0 {
		port = int32(f.Port)
	}
	size := 4 + 8 + len(addr)
	b := make([]byte, 12, size)
	// If it holds, go on behind it, which is the end and means yes; if not,
	// jump beyond the end, which means no.
	b[0], b[1] = diagFilterDestCond, uint8(size)
	binary.NativeEndian.PutUint16(b[2:], uint16(size+4))
	b[4], b[5] = family, uint8(bits)
	binary.NativeEndian.PutUint32(b[8:], uint32(port))
	return append(b, addr...)
}

// parse reads struct inet_diag_msg.
func (s *Socket) parse(b []byte) error {
	if len(b) < sizeofDiagMessage {
		return fmt.Errorf("%d bytes are too few for a socket", len(b))
	}
	*s = Socket{State: State(b[1])}
	s.Local = diagEnd(b[0], b[8:24], b[4:6])
	s.Remote = diagEnd(b[0], b[24:40], b[6:8])
	if b[2] == diagTimerTimeWait {
		s.Expires = time.Duration(binary.NativeEndian.Uint32(b[52:])) * time.Millisecond
	}
	if s.State == Listen {
		s.Queue = int(binary.NativeEndian.Uint32(b[56:]))
		s.Backlog = int(binary.NativeEndian.Uint32(b[60:]))
	}
	return nil
}

func diagEnd(family uint8, addr, port []byte) netip.AddrPort {
	a := netip.AddrFrom4([4]byte(addr))
	if family == unix.AF_INET6 {
		a = netip.AddrFrom16([16]byte(addr)).Unmap()
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}
