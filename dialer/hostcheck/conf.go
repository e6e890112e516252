package hostcheck

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// assignment is a line of a file like sysctl.conf.
type assignment struct {
	key, value string
	line       int
}

// Override puts what a file in the format of sysctl.conf(5) and sysctl.d(5) sets
// in the place of what is set now, as if it had been applied. Later lines win, and
// a key with wildcards (net.ipv4.conf.*.rp_filter) loses against one without. A
// minus before a key, which has the kernel's refusal ignored, changes nothing
// here. The name is the file's, for findings and errors.
//
// A line that cannot be understood, or whose value has not the form of its
// parameter, is an error that names it, and then nothing is overridden. A value
// that the kernel would refuse, and a parameter that it does not have, are no
// errors: Check finds them.
func (s *Settings) Override(name string, r io.Reader) error {
	list, err := s.parseConf(r)
	if err != nil {
		return fmt.Errorf("hostcheck: %s:%w", name, err)
	}
	if s.values == nil {
		s.values = make(map[string]Value)
	}
	if s.earlier == nil {
		s.earlier = make(map[string][]Value)
	}
	for _, wild := range []bool{true, false} {
		for _, a := range list {
			if isWild(a.key) == wild {
				s.assign(name, a)
			}
		}
	}
	return nil
}

// parseConf reads lines. Its errors begin with the line's number.
func (s *Settings) parseConf(r io.Reader) ([]assignment, error) {
	var list []assignment
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, err := s.parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		if key != "" {
			list = append(list, assignment{key, value, n})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%d: %w", n+1, err)
	}
	return list, nil
}

// parseLine reads "key = value". The key is empty if the line sets nothing.
func (s *Settings) parseLine(line string) (key, value string, err error) {
	key, value, ok := strings.Cut(line, "=")
	key, ignore := strings.CutPrefix(strings.TrimSpace(key), "-")
	key = dotted(strings.TrimSpace(key))
	if !ok && ignore {
		return "", "", nil // it takes a key out of those with wildcards
	}
	if !ok {
		return "", "", fmt.Errorf("%q is not of the form key = value", line)
	}
	if !isKey(key) {
		return "", "", fmt.Errorf("%q is no name of a parameter", key)
	}
	value = strings.Join(strings.Fields(value), " ")
	if p, ok := known(s.os(), key); ok {
		if err := p.check(value); err != nil {
			return "", "", fmt.Errorf("%s: %w", key, err)
		}
	}
	return key, value, nil
}

func isKey(key string) bool {
	_, err := path.Match(key, "")
	return key != "" && err == nil && !strings.ContainsAny(key, " \t") && !strings.Contains(key, "..") &&
		!strings.Contains(key, "//") && !strings.HasPrefix(key, ".") && !strings.HasSuffix(key, ".")
}

func isWild(key string) bool { return strings.ContainsAny(key, "*?[") }

// assign sets one value, or, if the key has wildcards, those of parameters that
// are looked at.
func (s *Settings) assign(name string, a assignment) {
	if !isWild(a.key) {
		absent := s.values[a.key].Absent
		if _, read := s.values[a.key]; !read && s.live {
			absent = !exists(a.key)
		}
		if before, ok := s.values[a.key]; ok {
			s.earlier[a.key] = append(s.earlier[a.key], before)
		}
		s.values[a.key] = Value{Text: a.value, Absent: absent, File: name, Line: a.line}
		return
	}
	matched := false
	for _, p := range keysOf(s.os()) {
		if ok, _ := path.Match(slashed(a.key), slashed(p.key)); ok && p.check(a.value) == nil {
			s.assign(name, assignment{p.key, a.value, a.line})
			matched = true
		}
	}
	if !matched {
		s.unknown = append(s.unknown, Value{Text: a.key, File: name, Line: a.line})
	}
}

// dotted is the key with dots between its parts. Whichever of dot and slash comes
// first in a key is its separator; the other is then part of a name.
func dotted(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return swapped(key)
	}
	return key
}

// slashed is the key with slashes between its parts, so that a wildcard stands
// for one part.
func slashed(key string) string { return swapped(key) }

// swapped has slashes for dots and dots for slashes.
func swapped(key string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

// check reports what is wrong with the form of a value. The kernel reads as many
// numbers as it wants and ignores what follows them.
func (p parameter) check(value string) error {
	want, form := 1, "a number"
	switch p.kind {
	case text:
		return nil
	case ports:
		_, err := parsePorts(value)
		return err
	case pair:
		want, form = 2, "two numbers"
	}
	fields := strings.Fields(value)
	if len(fields) < want {
		return fmt.Errorf("got %q, want %s", value, form)
	}
	for _, f := range fields[:want] {
		if _, err := strconv.ParseInt(f, 10, 64); err != nil {
			return fmt.Errorf("%q is no number", f)
		}
	}
	return nil
}

// portSet is a set of ports.
type portSet [1 << 16]bool

// parsePorts reads a list such as 8080,9000-9100.
func parsePorts(list string) (*portSet, error) {
	set := new(portSet)
	if list == "" {
		return set, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		lo, err1 := strconv.ParseUint(first, 10, 16)
		hi, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || lo > hi {
			return nil, fmt.Errorf("%q is neither a port nor a range of them", part)
		}
		for p := lo; p <= hi; p++ {
			set[p] = true
		}
	}
	return set, nil
}
