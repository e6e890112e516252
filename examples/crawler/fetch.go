package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// fetcher makes the requests. It is safe for concurrent use.
type fetcher struct {
	client  *http.Client
	agent   string
	timeout time.Duration
	maxSize int64
}

func newFetcher(o options, rt http.RoundTripper) *fetcher {
	return &fetcher{
		// Redirects are links: they may lead to another host, or to a page that was
		// fetched already.
		client: &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		agent: o.agent, timeout: o.timeout, maxSize: o.maxSize,
	}
}

// request is for a page, or for the host's robots.txt if page is nil.
type request struct {
	host *host
	url  *url.URL
	page *page
}

// result is what came of a request.
type result struct {
	request
	rules    *robots // never nil for robots.txt
	links    []*url.URL
	redirect *url.URL
	bytes    int64
	// opened and avoided count like those of hostFigures.
	opened, avoided int
	err             error
}

// statusError is an answer that brought no page.
type statusError int

// Error is the status as HTTP writes it.
func (s statusError) Error() string { return fmt.Sprintf("%d %s", int(s), http.StatusText(int(s))) }

// fetch makes one request of a crawl. It changes nothing about the host, which
// belongs to another goroutine.
func (f *fetcher) fetch(ctx context.Context, req request) result {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	r := result{request: req}
	if req.page == nil {
		f.fetchRobots(ctx, &r)
	} else {
		f.fetchPage(ctx, &r)
	}
	return r
}

func (f *fetcher) fetchPage(ctx context.Context, r *result) {
	at := r.url
	r.err = f.get(ctx, at, r, func(resp *http.Response, body io.Reader) (err error) {
		switch {
		case resp.StatusCode >= 400:
			return statusError(resp.StatusCode)
		case resp.StatusCode >= 300:
			r.redirect = redirect(at, resp)
		case isHTML(resp):
			r.links, err = links(body, at)
		default:
			_, err = io.Copy(io.Discard, body)
		}
		return err
	})
}

// robotsRedirects is how many redirects RFC 9309 asks to follow at least.
const robotsRedirects = 5

// fetchRobots reads the host's robots.txt. One that the host does not have allows
// everything; one that cannot be had forbids it (RFC 9309, section 2.3.1).
// Redirects are followed within the host.
func (f *fetcher) fetchRobots(ctx context.Context, r *result) {
	product, _, _ := strings.Cut(f.agent, "/")
	at := r.url
	for range robotsRedirects + 1 {
		r.rules = allowAll
		var next *url.URL
		r.err = f.get(ctx, at, r, func(resp *http.Response, body io.Reader) error {
			switch {
			case resp.StatusCode >= 500:
				return statusError(resp.StatusCode)
			case resp.StatusCode >= 400:
			case resp.StatusCode >= 300:
				next = redirect(at, resp)
			default:
				r.rules = parseRobots(body, product)
			}
			return nil
		})
		if r.err != nil {
			r.rules = forbidAll
			return
		}
		if next == nil || next.Host != r.host.name {
			return
		}
		at = next
	}
}

// get asks for one address and hands the answer to read, which need not read it to
// its end.
func (f *fetcher) get(ctx context.Context, at *url.URL, r *result, read func(*http.Response, io.Reader) error) error {
	reused := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if reused = i.Reused; !reused {
			r.opened++
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", f.agent)
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if reused {
		r.avoided++
	}
	body := &countingReader{r: io.LimitReader(resp.Body, f.maxSize)}
	err = read(resp, body)
	// What is left of a short page costs less than a connection.
	_, rest := io.CopyN(io.Discard, body, 64<<10)
	r.bytes += body.n
	if err == nil && rest != io.EOF {
		err = rest
	}
	return err
}

// redirect returns where an answer points, nil if nowhere.
func redirect(from *url.URL, resp *http.Response) *url.URL {
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode != http.StatusNotModified {
		return resolve(from, to)
	}
	return nil
}

func isHTML(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

// countingReader counts what is read from r.
type countingReader struct {
	r io.Reader
	n int64
}

// Read reads from r.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// asStatus returns the status if that is what err is about.
func asStatus(err error) (statusError, bool) {
	var s statusError
	ok := errors.As(err, &s)
	return s, ok
}
