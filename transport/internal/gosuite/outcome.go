package gosuite

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/gosuite/adapter"
)

// Status is what became of a test.
type Status string

// The statuses that the testing package reports, and None for a test of which
// it reported nothing, since it did not run or its process died.
const (
	None Status = ""
	Pass Status = "PASS"
	Skip Status = "SKIP"
	Fail Status = "FAIL"
)

// An Outcome is what one process of tests did.
type Outcome struct {
	OK       bool // it exited with status 0
	Took     time.Duration
	Status   map[string]Status // by full name, such as "TestClientTimeout/h2"
	Order    []string          // full names, as they started
	Requests int               // how many went through stayopen; -1 if it did not get so far
	Output   string
}

// With -test.v=test2json each of the testing package's own lines begins with
// this byte, so that what tests print cannot be taken for one.
const mark = "\x16"

var (
	runLine    = regexp.MustCompile(`(?m)\x16=== RUN +(\S+)$`)
	resultLine = regexp.MustCompile(`(?m)\x16 *--- (PASS|SKIP|FAIL): (\S+) \(`)
	countLine  = regexp.MustCompile(`(?m)^` + adapter.RequestsPrefix + `(\d+)$`)
)

func parseOutcome(out string) *Outcome {
	o := &Outcome{Status: make(map[string]Status), Requests: -1}
	for _, m := range runLine.FindAllStringSubmatch(out, -1) {
		o.Status[m[1]] = None
		o.Order = append(o.Order, m[1])
	}
	for _, m := range resultLine.FindAllStringSubmatch(out, -1) {
		o.Status[m[2]] = Status(m[1])
	}
	if m := countLine.FindStringSubmatch(out); m != nil {
		o.Requests, _ = strconv.Atoi(m[1])
	}
	o.Output = strings.ReplaceAll(out, mark, "")
	return o
}

// Of sums up what became of a test or subtest. It has failed when the process
// has, whatever it reported before: a panic, a race or a leak counts.
func (o *Outcome) Of(name string) Status {
	switch s := o.Status[name]; {
	case !o.OK:
		return Fail
	default:
		return s
	}
}

// modes are the names of subtests that tell in which mode a test runs.
var modes = map[string]bool{"h1": true, "https1": true, "h2": true, "h2unencrypted": true}

// Modes lists the modes in which a test ran, in that order.
func (o *Outcome) Modes(test string) []string {
	var list []string
	for _, name := range o.Order {
		if sub, ok := strings.CutPrefix(name, test+"/"); ok && modes[sub] {
			list = append(list, sub)
		}
	}
	return list
}

var (
	logLine   = regexp.MustCompile(`^\s+\w+_test\.go:\d+: `)
	fatalLine = regexp.MustCompile(`^(panic:|fatal error:|WARNING: DATA RACE|gosuite: )`)
)

// Excerpt is the line of a failure's output that most likely says why: the last
// message of the test that failed, or what ended the process.
func (o *Outcome) Excerpt() string {
	var logged, fatal string
	for _, line := range strings.Split(o.Output, "\n") {
		switch {
		case logLine.MatchString(line) && !strings.Contains(line, ": server log: "):
			logged = strings.TrimSpace(line)
		case fatal == "" && fatalLine.MatchString(line):
			fatal = strings.TrimSpace(line)
		}
	}
	if fatal != "" {
		return fatal
	}
	return logged
}
