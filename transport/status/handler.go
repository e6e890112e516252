package status

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Handler serves the page. It is safe for concurrent use.
type Handler struct {
	cfg     Config // resolved
	since   time.Time
	history history
	host    *host // nil with Config.WithoutHost
	figures figures
}

// New makes a Handler, which watches the transports until Close. It fails if the
// Config has no transport or a nil one. Transports that are closed meanwhile are
// shown as they were last.
func New(cfg Config) (*Handler, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	h := &Handler{cfg: cfg, since: time.Now()}
	h.history.sources, h.history.every = cfg.Transports, cfg.Interval
	if !cfg.WithoutHost {
		h.host = newHost()
		h.history.host = hostTimeWaits
	}
	h.history.start()
	return h, nil
}

// Close ends what runs in the background: the timer, and an examination of the
// host, for which it waits. The Handler can still be used; its charts then have no
// more past than they have, and the findings stay what they are. Closing twice is
// allowed. The error is always nil.
func (h *Handler) Close() error {
	h.history.close()
	if h.host != nil {
		h.host.close()
	}
	return nil
}

// ServeHTTP answers GET and HEAD with the page, or with a Report as JSON where
// that is preferred; see the package's documentation.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	header := w.Header()
	secure(header)
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "status: only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	query := req.URL.Query()
	c := choiceOf(query, h.cfg.MaxRows)
	report := c.of(h.figures.now(h))
	// In memory first: nothing is held while a slow reader reads.
	var body bytes.Buffer
	var err error
	if wantsJSON(query.Get("format"), req.Header["Accept"]) {
		header.Set("Content-Type", "application/json")
		encoder := json.NewEncoder(&body)
		encoder.SetIndent("", "\t")
		err = encoder.Encode(report)
	} else {
		header.Set("Content-Type", "text/html; charset=utf-8")
		err = page.Execute(&body, h.view(report, c))
	}
	if err != nil {
		http.Error(w, "status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if req.Method == http.MethodGet {
		w.Write(body.Bytes())
	}
}

// secure sets what is the same for every answer.
func secure(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}
