package hostcheck

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// readStat reads /proc/net/sockstat, sockstat6 and netstat. A kernel without
// IPv6 has no sockstat6, a container may lack any of them.
func readStat() (Stat, error) {
	var s Stat
	for _, read := range []struct {
		file, row string
		into      map[string]*int
	}{
		{"sockstat", "TCP:", map[string]*int{"inuse": &s.InUse, "orphan": &s.Orphans, "tw": &s.TimeWaits}},
		{"netstat", "TcpExt:", map[string]*int{"TCPTimeWaitOverflow": &s.TimeWaitOverflows, "ListenOverflows": &s.ListenOverflows}},
	} {
		if err := readRow(read.file, read.row, read.into); err != nil {
			return Stat{}, err
		}
	}
	var inUse6 int
	err := readRow("sockstat6", "TCP6:", map[string]*int{"inuse": &inUse6})
	s.InUse += inUse6
	return s, err
}

func readRow(file, row string, into map[string]*int) error {
	f, err := openNet(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hostcheck: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("hostcheck: %w", err)
	}
	if err := pairs(string(text), row, into); err != nil {
		return fmt.Errorf("hostcheck: /proc/net/%s: %w", file, err)
	}
	return nil
}

// pairs fills in the numbers of the row that begins with this word. In sockstat
// each follows its name; netstat has a row of names, and under it one of numbers.
func pairs(text, row string, into map[string]*int) error {
	var words []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == row {
			words = append(words, fields[1:]...)
		}
	}
	half, step := 1, 2 // name, number, name, number
	if len(words) > 1 && !isNumber(words[1]) {
		half, step = len(words)/2, 1 // names, then numbers
	}
	for i := 0; i+half < len(words) && (step == 2 || i < half); i += step {
		if to := into[words[i]]; to != nil {
			n, err := strconv.Atoi(words[i+half])
			if err != nil {
				return fmt.Errorf("%s: %w", words[i], err)
			}
			*to = n
		}
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}
