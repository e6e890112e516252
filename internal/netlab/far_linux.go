package netlab

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// Addresses of the two ends of the long way that Far makes.
var (
	FarClientAddr = netip.MustParseAddr("198.18.1.1")
	FarServerAddr = netip.MustParseAddr("198.18.1.2")
)

// Far makes a second way between the namespaces, by the devices far0, on which
// each packet takes so long in either direction. It is there until the test ends,
// kept by this process, and loses nothing unless very much is sent at once.
//
// What netem does for a device this does with two TUN devices, since many kernels
// come without netem.
func (l *Lab) Far(delay time.Duration) {
	l.tb.Helper()
	client := l.tun(l.Client, netip.PrefixFrom(FarClientAddr, 24))
	server := l.tun(l.Server, netip.PrefixFrom(FarServerAddr, 24))
	var carriers sync.WaitGroup
	carriers.Go(func() { carry(server, client, delay) }) // they end when a device is closed
	carriers.Go(func() { carry(client, server, delay) })
	l.tb.Cleanup(func() {
		client.Close()
		server.Close()
		carriers.Wait()
	})
}

// tun makes the device far0 in the namespace, with the address.
func (l *Lab) tun(ns string, p netip.Prefix) *os.File {
	l.tb.Helper()
	type result struct {
		device *os.File
		err    error
	}
	made := make(chan result)
	go func() {
		// A device is made in the namespace that the thread is in. The thread ends
		// with the goroutine, since that stays locked to it.
		runtime.LockOSThread()
		device, err := openTUN("/run/netns/" + ns)
		made <- result{device, err}
	}()
	r := <-made
	if errors.Is(r.err, os.ErrNotExist) || errors.Is(r.err, unix.ENODEV) || errors.Is(r.err, os.ErrPermission) {
		mustrun.Skipf(l.tb, "this test makes a long way with TUN devices, which this system does not allow: %v", r.err)
	}
	if r.err != nil {
		l.tb.Fatalf("netlab: a TUN device in namespace %s: %v", ns, r.err)
	}
	l.ip("-n", ns, "addr", "add", p.String(), "dev", "far0")
	l.ip("-n", ns, "link", "set", "far0", "txqueuelen", "10000", "up")
	return r.device
}

// openTUN makes the device far0 in the namespace, which this thread enters.
func openTUN(ns string) (*os.File, error) {
	inside, err := os.Open(ns)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	request, err := unix.NewIfreq("far0")
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Only now does the poller take it.
	return os.NewFile(uintptr(fd), path), nil
}

// packet is on its way.
type packet struct {
	data []byte
	due  time.Time
}

// carry brings the packets that come out of from to the other device, until one
// of the two is closed.
func carry(to io.Writer, from io.Reader, delay time.Duration) {
	way := make(chan packet, 1<<16)
	var delivery sync.WaitGroup
	defer delivery.Wait()
	defer close(way)
	delivery.Go(func() { // ends when way is closed
		for p := range way {
			<-time.After(time.Until(p.due))
			to.Write(p.data) // one that is not taken is lost
		}
	})
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		way <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}
	}
}
