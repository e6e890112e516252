package dialer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What linux/inet_diag.h and linux/sock_diag.h say.
const (
	sockDiagByFamily = 20
	stateSynReceived = 3
)

// inetDiagReq is struct inet_diag_req_v2 of linux/inet_diag.h. Ports are in
// network order.
type inetDiagReq struct {
	family, protocol, ext, pad uint8
	states                     uint32
	sport, dport               [2]byte
	src, dst                   [16]byte
	device                     uint32
	cookie                     [2]uint32
}

// inetDiagMsg is the beginning of struct inet_diag_msg.
type inetDiagMsg struct {
	family, state, timer, retransmits uint8
	sport, dport                      [2]byte
	src, dst                          [16]byte
}

// halfOpen lists the clients whose handshakes with the local port have begun and
// not ended, in the network namespace of this thread. It needs no privileges.
func halfOpen(port uint16) (map[netip.AddrPort]bool, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	// The kernel answers within the call; this is for a kernel that does not.
	timeout := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	clients := make(map[netip.AddrPort]bool)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := dumpHalfOpen(s, family, port, clients); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

func dumpHalfOpen(s int, family uint8, port uint16, clients map[netip.AddrPort]bool) error {
	var request struct {
		unix.NlMsghdr
		inetDiagReq
	}
	request.NlMsghdr = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(request)), Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP}
	request.inetDiagReq = inetDiagReq{family: family, protocol: unix.IPPROTO_TCP, states: 1 << stateSynReceived}
	binary.BigEndian.PutUint16(request.sport[:], port)
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	if err := unix.Sendto(s, bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(s, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if done, err := readHalfOpen(buf[:n], clients); done || err != nil {
			return err
		}
	}
}

// readHalfOpen reads the messages of one datagram and reports whether they end
// the answer.
func readHalfOpen(messages []byte, clients map[netip.AddrPort]bool) (done bool, err error) {
	for len(messages) >= unix.SizeofNlMsghdr {
		header := *(*unix.NlMsghdr)(unsafe.Pointer(unsafe.SliceData(messages)))
		if header.Len < unix.SizeofNlMsghdr || int(header.Len) > len(messages) {
			return false, fmt.Errorf("dialer: sock_diag: a message of %d bytes in %d", header.Len, len(messages))
		}
		body := messages[unix.SizeofNlMsghdr:header.Len]
		switch header.Type {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			return false, os.NewSyscallError("sock_diag", diagError(body))
		case sockDiagByFamily:
			if len(body) >= int(unsafe.Sizeof(inetDiagMsg{})) {
				clients[(*inetDiagMsg)(unsafe.Pointer(unsafe.SliceData(body))).remote()] = true
			}
		}
		messages = messages[min(len(messages), (int(header.Len)+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}

// diagError is the errno in the body of an NLMSG_ERROR.
func diagError(body []byte) error {
	if len(body) < 4 {
		return unix.EBADMSG
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
}

func (m *inetDiagMsg) remote() netip.AddrPort {
	addr := netip.AddrFrom16(m.dst)
	if m.family == unix.AF_INET {
		addr = netip.AddrFrom4([4]byte(m.dst[:4]))
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(m.dport[:]))
}
