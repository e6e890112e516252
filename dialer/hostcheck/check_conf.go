package hostcheck

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// conf finds what a file sets in vain.
func (k *check) conf() {
	for key, v := range k.s.All() {
		switch {
		case v.File == "" || key == twRecycle:
		case v.Absent:
			k.addAt(v, Finding{
				ID: "no-such-parameter", Severity: Warning, Key: key,
				Effect: "None: this kernel, in this network namespace, has no such parameter, and applying the file reports an error here.",
				Change: "check how it is spelled and in which version of the kernel it is, or remove the line",
			})
		default:
			if why := k.refusal(key, v); why != "" {
				stays := ""
				if before := k.s.standing(key); !before.Absent {
					stays = ": " + before.Text
				}
				k.addAt(v, Finding{
					ID: "value-refused", Severity: Warning, Key: key,
					Effect: fmt.Sprintf("None: the kernel refuses the value (invalid argument), and what was set before stays%s. %s", stays, why),
					Change: "set a value that it accepts, or remove the line",
				})
			}
		}
	}
}

// notJudged names what a file sets and nothing here is about.
func (k *check) notJudged() {
	byFile := map[string][]string{}
	for key, v := range k.s.All() {
		if p, ok := known(k.s.os(), key); v.File != "" && !v.Absent && (!ok || p.shown) {
			byFile[v.File] = append(byFile[v.File], key)
		}
	}
	for _, v := range k.s.unknown {
		if !slices.Contains(byFile[v.File], v.Text) {
			byFile[v.File] = append(byFile[v.File], v.Text)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		k.found = append(k.found, Finding{
			ID: "not-judged", Severity: Note, Key: "file", File: file,
			Set:    "not judged: " + strings.Join(byFile[file], ", "),
			Effect: "Whether that is good or bad for many connections is not known here.",
			Change: nothing,
		})
	}
}

// refusal says why the kernel would not accept the value. Empty if it would.
func (k *check) refusal(key string, v Value) string {
	p, ok := known(k.s.os(), key)
	if !ok {
		return ""
	}
	if p.kind == pair {
		return k.rangeRefusal(v.Text)
	}
	n, ok := v.int()
	if !ok || p.kind != number || p.accepts(n) {
		return ""
	}
	return fmt.Sprintf("It accepts %d to %d.", p.min, p.max)
}

// rangeRefusal says what is wrong with a range of local ports.
func (k *check) rangeRefusal(value string) string {
	fields := strings.Fields(value)
	if len(fields) < 2 {
		return ""
	}
	lo, _ := strconv.ParseInt(fields[0], 10, 64)
	hi, _ := strconv.ParseInt(fields[1], 10, 64)
	privileged, ok := k.s.Int("net.ipv4.ip_unprivileged_port_start")
	if !ok {
		privileged = 1024
	}
	switch {
	case lo > hi:
		return "The first port is greater than the last."
	case hi > 65535:
		return "There is no port beyond 65535."
	case lo < max(privileged, 1) && !k.s.before(4, 11):
		return fmt.Sprintf("Ports below %d (net.ipv4.ip_unprivileged_port_start) are for privileged programs only.", privileged)
	}
	return ""
}
