package dialer

import (
	"os"
	"strconv"
	"strings"
)

// defaultPorts is what Linux starts with.
var defaultPorts = PortRange{Lo: 32768, Hi: 60999}

// readPortSpace reads the settings of the network namespace that the calling
// thread is in.
func readPortSpace() portSpace {
	s := portSpace{all: defaultPorts}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if f := strings.Fields(string(text)); len(f) == 2 {
			if r, ok := parsePorts(f[0], f[1]); ok {
				s.all, s.known = r, true
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports"); err == nil {
		s.reserved = parseReserved(strings.TrimSpace(string(text)))
	}
	s.free = readNumber("/proc/sys/net/ipv4/ip_unprivileged_port_start") // Linux 4.11
	return s
}

// readNumber is 0 if it cannot be read.
func readNumber(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// parseReserved reads a list such as 8080,9148-9150.
func parseReserved(text string) []PortRange {
	var all []PortRange
	for _, item := range strings.Split(text, ",") {
		lo, hi, ok := strings.Cut(item, "-")
		if !ok {
			hi = lo
		}
		if r, ok := parsePorts(lo, hi); ok {
			all = append(all, r)
		}
	}
	return all
}

func parsePorts(lo, hi string) (PortRange, bool) {
	l, err1 := strconv.ParseUint(lo, 10, 16)
	h, err2 := strconv.ParseUint(hi, 10, 16)
	return PortRange{Lo: uint16(l), Hi: uint16(h)}, err1 == nil && err2 == nil && l <= h
}

// narrowsPorts reports whether the kernel knows IP_LOCAL_PORT_RANGE.
func narrowsPorts() bool { return !portRange.missing.Load() }

// knowsPortRange is narrowsPorts for who cannot wait for the first dial to find
// that out.
func knowsPortRange() bool {
	probed()
	return narrowsPorts()
}

// explicitPorts says that an explicitly bound socket may take over a TIME_WAIT.
const explicitPorts = true
