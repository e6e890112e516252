package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// An address is a URL in its one spelling, so that no page is fetched twice: no
// fragment, a path, a host in lower case, no port that the scheme has anyway.

// parseAddress reads a start URL. Without a scheme it is https.
func parseAddress(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if !fetchable(u) {
		return nil, fmt.Errorf("%q cannot be crawled, want http:// or https://, a host, and no password", s)
	}
	return normal(u), nil
}

// fetchable reports whether u is one that a crawler asks for.
func fetchable(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// normal returns the one spelling of u, which must be fetchable.
func normal(u *url.URL) *url.URL {
	n := *u
	n.Host = strings.ToLower(n.Host)
	n.Host = strings.TrimSuffix(n.Host, map[string]string{"http": ":80", "https": ":443"}[n.Scheme])
	n.Host = strings.TrimSuffix(n.Host, ":")
	n.Fragment, n.RawFragment = "", ""
	n.ForceQuery = false
	if n.Path == "" {
		n.Path = "/"
	}
	return &n
}

// resolve returns the address that a link in a page leads to, nil if that cannot
// be fetched.
func resolve(base *url.URL, link string) *url.URL {
	u, err := base.Parse(strings.TrimSpace(link))
	if err != nil || !fetchable(u) {
		return nil
	}
	return normal(u)
}

// readStart collects the start URLs of the arguments and of the file, each once.
func readStart(args []string, file string, stdin io.Reader) ([]*url.URL, error) {
	lines := args
	if file != "" {
		more, err := readLines(file, stdin)
		if err != nil {
			return nil, fmt.Errorf("-file: %w", err)
		}
		lines = append(lines[:len(lines):len(lines)], more...)
	}
	var all []*url.URL
	seen := map[string]bool{}
	for _, line := range lines {
		u, err := parseAddress(line)
		if err != nil {
			return nil, fmt.Errorf("start URL: %w", err)
		}
		if !seen[u.String()] {
			seen[u.String()] = true
			all = append(all, u)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no start URL is given, as argument or in a -file")
	}
	return all, nil
}

// readLines returns the lines of a file, without the empty ones and those that
// begin with #.
func readLines(file string, stdin io.Reader) ([]string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var lines []string
	s := bufio.NewScanner(in)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, s.Err()
}
