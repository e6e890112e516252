package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Settings are the kernel parameters and limits that bear on TCP connections.
// The zero value has none. Once it is not overridden any more, it may be used
// concurrently.
type Settings struct {
	// OS is the system they are of, as GOOS names it. Empty means Linux.
	OS string

	// Kernel is the kernel's release, such as "6.18.44-generic". Empty if it is
	// not known; then the newest behaviour is assumed.
	Kernel string

	// Files is how many files, connections among them, this process may have
	// open. Zero if that is not known.
	Files Limit

	values  map[string]Value
	earlier map[string][]Value // what Override has put something in the place of, the oldest first
	unknown []Value            // keys with wildcards that match no parameter that is looked at, as Text
	live    bool               // read from the system that this process runs on
}

// Limit is a limit of the process, RLIMIT_NOFILE.
type Limit struct {
	// Soft is what counts. Go raises it when a program starts, to Hard or one
	// less; programs in other languages often run with a Soft of 1,024.
	Soft uint64

	// Hard is what a process may raise Soft to.
	Hard uint64
}

// Value is what a parameter is set to.
type Value struct {
	// Text is the value as it was found, without the space around it. Several
	// numbers are separated by one space each. Empty if it may not be read.
	Text string

	// Absent says that the kernel has no such parameter, or not in this network
	// namespace. If Override has set it all the same, Text is not empty.
	Absent bool

	// File is where Override found it, as it was named there. Empty if the
	// kernel was asked.
	File string

	// Line is the line there.
	Line int
}

// Read reads the settings of the host that the process runs on. What the kernel
// does not have is marked as absent; what this process may not read is left
// empty. Another failure to read is an error. It may be called concurrently.
func Read() (*Settings, error) {
	s := &Settings{OS: runtime.GOOS, Kernel: kernelRelease(), values: make(map[string]Value), live: true}
	for _, p := range keysOf(s.OS) {
		text, ok, err := readParameter(p.key)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("hostcheck: %s: %w", p.key, err)
		}
		s.values[p.key] = Value{Text: strings.Join(strings.Fields(text), " "), Absent: !ok && err == nil}
	}
	var err error
	if s.Files, err = fileLimit(); err != nil {
		return nil, fmt.Errorf("hostcheck: limit of open files: %w", err)
	}
	return s, nil
}

// Value is what the parameter is set to; its key is written with dots. One that
// is neither read nor overridden is absent.
func (s *Settings) Value(key string) Value {
	if v, ok := s.values[key]; ok {
		return v
	}
	return Value{Absent: true}
}

// Int is the value of a parameter that is a number, and whether the kernel has
// it and it is one.
func (s *Settings) Int(key string) (int64, bool) {
	return s.Value(key).int()
}

func (v Value) int() (int64, bool) {
	fields := strings.Fields(v.Text)
	if v.Absent || len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n, err == nil
}

// All goes through the parameters that were looked at, in an order that people
// would choose, absent ones included, and then those that only Override has
// brought.
func (s *Settings) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		first := keysOf(s.os())
		for _, p := range first {
			if v, ok := s.values[p.key]; ok && !yield(p.key, v) {
				return
			}
		}
		for _, key := range slices.Sorted(maps.Keys(s.values)) {
			if _, ok := known(s.os(), key); !ok && !yield(key, s.values[key]) {
				return
			}
		}
	}
}

// standing is the value that holds: if the kernel would refuse what a file sets,
// what was set before. Absent if nothing is known of that.
func (s *Settings) standing(key string) Value {
	k := check{s: s}
	v, before := s.Value(key), s.earlier[key]
	for v.File != "" && k.refusal(key, v) != "" {
		if len(before) == 0 {
			return Value{Absent: true}
		}
		v, before = before[len(before)-1], before[:len(before)-1]
	}
	return v
}

// PortRange is the range of local ports that are given to connections, lo and hi
// included; ok is false where it is not known. If the kernel would refuse what
// Override has found, it is the range that was set before.
func (s *Settings) PortRange() (lo, hi uint16, ok bool) {
	fields := strings.Fields(s.standing("net.ipv4.ip_local_port_range").Text)
	if s.os() != "linux" {
		fields = append(strings.Fields(s.Value("net.inet.ip.portrange.first").Text), strings.Fields(s.Value("net.inet.ip.portrange.last").Text)...)
	}
	if len(fields) < 2 {
		return 0, 0, false
	}
	first, err1 := strconv.ParseUint(fields[0], 10, 16)
	last, err2 := strconv.ParseUint(fields[1], 10, 16)
	if err1 != nil || err2 != nil || first > last {
		return 0, 0, false
	}
	return uint16(first), uint16(last), true
}

// LocalPorts is the number of ports in that range without those that are
// reserved: from each source address to each destination there can be so many
// connections at a time. Zero if the range is not known.
func (s *Settings) LocalPorts() int {
	k := check{s: s}
	_, _, size := k.localRange()
	return size
}

func (s *Settings) os() string {
	if s.OS == "" {
		return "linux"
	}
	return s.OS
}

// before reports whether the kernel is known to be older than the release.
func (s *Settings) before(major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(s.Kernel, "%d.%d", &a, &b); n < 2 {
		return false
	}
	return a < major || a == major && b < minor
}
