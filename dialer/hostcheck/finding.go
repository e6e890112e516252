package hostcheck

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says how bad a finding is.
type Severity uint8

const (
	// Good is set well. There is nothing to change.
	Good Severity = iota

	// Note is worth knowing, and may want a change in some programs.
	Note

	// Warning costs something, or does not do what it is set for.
	Warning

	// Error breaks connections or listeners, now or as soon as there is load.
	Error
)

var severityNames = [...]string{Good: "good", Note: "note", Warning: "warning", Error: "error"}

// String is the severity's name, in lower case.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity %d", uint8(s))
}

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name. Another text is an error.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severityNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("hostcheck: %q is no severity", text)
	}
	*s = Severity(i)
	return nil
}

// Finding is what was found out about one setting or about the sockets there
// are. Its texts are sentences in English for people; programs go by ID.
type Finding struct {
	// ID names the kind of finding and stays the same in later versions.
	ID string `json:"id"`

	// Severity says how bad it is.
	Severity Severity `json:"severity"`

	// Key is the parameter, RLIMIT_NOFILE, "sockets", or "file" for what is about
	// a file of Settings.Override as a whole.
	Key string `json:"key"`

	// Set is what it is set to, or what was counted.
	Set string `json:"set"`

	// File is where Settings.Override found the value. Empty if it is what the
	// kernel says.
	File string `json:"file,omitempty"`

	// Line is the line there. Zero for the file as a whole.
	Line int `json:"line,omitempty"`

	// Effect is what that really does on this kernel.
	Effect string `json:"effect"`

	// Change is what to do about it: "nothing" if it is good as it is.
	Change string `json:"change"`

	// Recipe is advice that circulates and that the setting looks like it was
	// taken from. Empty if there is none.
	Recipe string `json:"recipe,omitempty"`

	// Wrong says why the recipe is wrong.
	Wrong string `json:"wrong,omitempty"`
}

const nothing = "nothing"

// Check judges the settings, and the sockets if there is a census (nil if not).
// The findings come with the worst first; for every setting that was judged there
// is at least one, of severity Good if it is set well, and what a file sets besides
// is named in one (not-judged). It reads what it is given
// and nothing else, so that it can judge another host's settings as well.
func Check(s *Settings, c *Census) []Finding {
	if c == nil {
		c = &Census{}
	}
	k := &check{s: s, c: c}
	k.conf()
	switch s.os() {
	case "linux":
		k.linux()
	case "darwin":
		k.darwin()
	case "freebsd":
		k.freebsd()
	case "windows":
		k.windows()
	}
	k.files()
	k.notJudged()
	slices.SortStableFunc(k.found, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return k.found
}

func (k *check) linux() {
	k.ports()
	k.full()
	k.timeWait()
	k.listen()
	k.connect()
	k.retries()
	k.conntrack()
	k.lingering()
}

// check collects findings.
type check struct {
	s     *Settings
	c     *Census
	found []Finding
}

// add notes a finding about a parameter; what it is set to, and where, is filled
// in.
func (k *check) add(f Finding) { k.addAt(k.s.standing(f.Key), f) }

// addAt notes one about a value that need not hold.
func (k *check) addAt(v Value, f Finding) {
	if f.Set == "" {
		f.Set = v.Text
	}
	f.File, f.Line = v.File, v.Line
	k.found = append(k.found, f)
}

// good notes that there is nothing to change.
func (k *check) good(id, key, effect string) {
	k.add(Finding{ID: id, Severity: Good, Key: key, Effect: effect, Change: nothing})
}

// int is the value of a parameter that the kernel has, and accepts.
func (k *check) int(key string) (int64, bool) { return k.s.standing(key).int() }

// accepts reports whether the kernel would.
func (p parameter) accepts(n int64) bool {
	return p.min == 0 && p.max == 0 || n >= p.min && n <= p.max
}
