package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// errand is a kind of request that the demo's clients send.
type errand struct {
	method, prefix string
	// request is the body of request i, answer that of its answer.
	request func(i int) io.Reader
	answer  func(i int) string
	serve   func(w http.ResponseWriter, r *http.Request)
}

// errands are taken in turn. Most requests are GETs.
var errands = []errand{pages, pages, pages, pages, echoes, pages, pages, pages, pages, streams}

// pages take their time: a few milliseconds, the same for a page in every run.
var pages = errand{
	method: "GET", prefix: "/pages/",
	request: func(int) io.Reader { return nil },
	answer:  page,
	serve: func(w http.ResponseWriter, r *http.Request) {
		i := numberOf(r)
		if pause(r, time.Duration(1+i*7%8)*time.Millisecond) {
			text := page(i)
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			io.WriteString(w, text)
		}
	},
}

// echoes send a body and get it back.
var echoes = errand{
	method: "POST", prefix: "/echoes/",
	request: func(i int) io.Reader { return strings.NewReader(page(i)) },
	answer:  page,
	serve: func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			w.Write(b)
		}
	},
}

// streams are server-sent events.
var streams = errand{
	method: "GET", prefix: "/streams/",
	request: func(int) io.Reader { return nil },
	answer: func(i int) string {
		var b strings.Builder
		for n := range events {
			fmt.Fprintf(&b, "data: %d of %d\n\n", n, i)
		}
		return b.String()
	},
	serve: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range events {
			fmt.Fprintf(w, "data: %d of %d\n\n", n, numberOf(r))
			http.NewResponseController(w).Flush()
			if !pause(r, 2*time.Millisecond) {
				return
			}
		}
	},
}

const events = 4

// errandOf is the errand whose path this is; what is none is a page, which the
// checks ask for.
func errandOf(path string) errand {
	for _, e := range []errand{echoes, streams} {
		if strings.HasPrefix(path, e.prefix) {
			return e
		}
	}
	return pages
}

// numberOf is the number at the end of a request's path, 0 if there is none.
func numberOf(r *http.Request) int {
	i, _ := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	return i
}

// page is the text of page i, up to 16 KB.
func page(i int) string {
	return fmt.Sprintf("page %d\n%s", i, strings.Repeat("A connection that stays open serves the next request as well.\n", i*13%256))
}

// pause reports whether the client is still there after it.
func pause(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
