package main

import (
	"bufio"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxRobots is how much of a robots.txt is read: what RFC 9309 asks for at least.
const maxRobots = 500 << 10

// maxCrawlDelay bounds what a host can make the crawler wait.
const maxCrawlDelay = time.Minute

// robots is what a host's robots.txt (RFC 9309) says to this crawler.
type robots struct {
	rules []rule
	// delay is the Crawl-delay, which is no part of the RFC but widely used.
	delay time.Duration
}

// rule allows or forbids the paths that begin like its pattern, in which * stands
// for any characters and $ at the end for the end.
type rule struct {
	pattern string
	allow   bool
}

var (
	allowAll  = &robots{}
	forbidAll = &robots{rules: []rule{{pattern: "/"}}}
)

// parseRobots reads what the groups for this product say or, if there are none,
// those for everybody. Lines that it does not understand are passed over.
func parseRobots(r io.Reader, product string) *robots {
	var own, everybody robots
	var hasOwn bool
	var into []*robots // the group that the line is in is for these
	inRules := true
	lines := bufio.NewScanner(io.LimitReader(r, maxRobots))
	lines.Buffer(nil, maxRobots+1)
	for lines.Scan() {
		key, value := robotsLine(lines.Text())
		if key == "user-agent" {
			if inRules {
				into, inRules = nil, false
			}
			if strings.EqualFold(value, product) {
				into, hasOwn = append(into, &own), true
			} else if value == "*" {
				into = append(into, &everybody)
			}
			continue
		}
		inRules = inRules || key == "allow" || key == "disallow"
		for _, g := range into {
			g.add(key, value)
		}
	}
	if hasOwn {
		return &own
	}
	return &everybody
}

// robotsLine splits a line, "" if it is none.
func robotsLine(line string) (key, value string) {
	line, _, _ = strings.Cut(strings.TrimPrefix(line, "\ufeff"), "#")
	key, value, _ = strings.Cut(line, ":")
	return strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
}

func (r *robots) add(key, value string) {
	switch key {
	case "allow", "disallow":
		if value != "" {
			r.rules = append(r.rules, rule{value, key == "allow"})
		}
	case "crawl-delay":
		if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
			r.delay = time.Duration(min(s, maxCrawlDelay.Seconds()) * float64(time.Second))
		}
	}
}

// allows reports whether the page may be fetched: the longest pattern decides, and
// of two as long the one that allows.
func (r *robots) allows(u *url.URL) bool {
	path := u.EscapedPath()
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	length, allowed := -1, true
	for _, rule := range r.rules {
		n := len(rule.pattern)
		if (n > length || n == length && rule.allow) && matches(rule.pattern, path) {
			length, allowed = n, rule.allow
		}
	}
	return allowed
}

// matches reports whether path begins like pattern.
func matches(pattern, path string) bool {
	pattern, toEnd := strings.CutSuffix(pattern, "$")
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(path, parts[0])
	if !ok {
		return false
	}
	if len(parts) == 1 {
		return !toEnd || rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	if toEnd {
		return strings.HasSuffix(rest, parts[last])
	}
	return strings.Contains(rest, parts[last])
}
