package status_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/transport/status"
)

// browser is what a test page in Chromium has sent back, and what it asked for.
type browser struct {
	t       *testing.T
	server  *httptest.Server
	results chan string // of POSTs to /result; one is sent by each page

	mu         sync.Mutex // guards what follows
	violations []string   // of the page's Content-Security-Policy
	paths      map[string]int
}

// tellFailure has a harness that throws say so, instead of nothing.
const tellFailure = `<script>
const failed = e => fetch("/result", { method: "POST", body: "the harness failed: " + (e.reason || e.message) });
addEventListener("error", failed);
addEventListener("unhandledrejection", failed);
</script>`

// browse shows a harness, which is HTML, in Chromium. It is beside the page, which
// is at /debug/stayopen, and may call /more to have a request sent.
func browse(t *testing.T, r *rig, harness string) (result string, b *browser) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		mustrun.Skipf(t, "there is no chromium in PATH (Debian's package chromium)")
	}
	b = &browser{t: t, results: make(chan string, 1), paths: make(map[string]int)}
	mux := http.NewServeMux()
	mux.HandleFunc("/harness", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, strings.Replace(harness, "<body>", "<body>"+tellFailure, 1))
	})
	mux.HandleFunc("/more", func(http.ResponseWriter, *http.Request) { r.send(t, "more.example:80") })
	mux.HandleFunc("/violation", func(_ http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		b.mu.Lock()
		b.violations = append(b.violations, string(text))
		b.mu.Unlock()
	})
	mux.HandleFunc("/result", func(_ http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		select {
		case b.results <- string(text):
		default:
		}
	})
	mux.HandleFunc("/debug/stayopen", func(w http.ResponseWriter, req *http.Request) {
		r.page.ServeHTTP(reporting{w}, req)
	})
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b.mu.Lock()
		b.paths[req.URL.Path]++
		b.mu.Unlock()
		mux.ServeHTTP(w, req)
	}))
	defer b.server.Close()
	return b.run(program), b
}

// reporting has violations of the policy told to the server.
type reporting struct{ http.ResponseWriter }

func (w reporting) WriteHeader(code int) {
	h := w.Header()
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; report-uri /violation")
	w.ResponseWriter.WriteHeader(code)
}

func (w reporting) Write(p []byte) (int, error) {
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "report-uri") {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// run starts the program and waits for a result.
func (b *browser) run(program string) string {
	b.t.Helper()
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-background-timer-throttling", "--disable-extensions", "--window-size=1400,900",
		"--remote-debugging-port=0", "--user-data-dir="+profile, b.server.URL+"/harness")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which are to end with it
	// What it says goes to a file: its children would keep a pipe open.
	log, err := os.Create(profile + ".log")
	if err != nil {
		b.t.Fatal(err)
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	defer os.RemoveAll(profile)
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}()
	select {
	case result := <-b.results:
		return result
	case <-ended:
		b.t.Fatalf("chromium has ended by itself: %s", tail(log.Name()))
	case <-time.After(2 * time.Minute):
		b.t.Fatalf("no result from chromium after 2 minutes: %s", tail(log.Name()))
	}
	return ""
}

func tail(file string) []byte {
	text, _ := os.ReadFile(file)
	return text[max(0, len(text)-4000):]
}

// check fails the test for what no page may do.
func (b *browser) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.violations) > 0 {
		b.t.Errorf("got violations of the policy, want none: %s", b.violations)
	}
	for path := range b.paths {
		switch path {
		case "/harness", "/debug/stayopen", "/result", "/more", "/favicon.ico":
		default:
			b.t.Errorf("got a request for %s, want none beside the page", path)
		}
	}
}

// full is a rig with something in every part of the page.
func full(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, status.Config{MaxRows: 20})
	for i := range 60 {
		r.send(t, host(i%30))
	}
	for name := range hostile {
		r.send(t, name)
	}
	r.tr.CloseIdleConnections()
	for i := range 60 {
		r.send(t, host(i%30))
	}
	return r
}

// widths of windows: a desktop's, a tablet's, a phone's, and the narrowest that
// WCAG 2.1 asks for (1.4.10).
var widths = []int{1280, 900, 400, 320}

const measure = `<!DOCTYPE html><meta charset="utf-8"><body><script>
const widths = %s, found = [];
let left = widths.length;
for (const width of widths) {
	const frame = document.createElement("iframe");
	frame.style.cssText = "border:0;display:block;height:900px;width:" + width + "px";
	frame.onload = () => {
		const page = frame.contentDocument, root = page.documentElement;
		const wide = [...page.querySelectorAll("body *")].filter(e =>
			e.getBoundingClientRect().right > width + 0.5 && !e.closest(".host")).slice(0, 5);
		found.push({
			width, client: root.clientWidth, scroll: root.scrollWidth,
			wide: wide.map(e => e.tagName + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 40)),
			rows: page.querySelectorAll(".origins tbody tr").length,
			style: getComputedStyle(page.querySelector(".tile")).borderTopLeftRadius,
			small: [...page.querySelectorAll("td, th, p, a, .text")].filter(e => parseFloat(getComputedStyle(e).fontSize) < 11).length,
			others: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
		});
		if (--left === 0) fetch("/result", { method: "POST", body: JSON.stringify(found) });
	};
	frame.src = "/debug/stayopen?limit=60";
	document.body.append(frame);
}
</script>`

func TestThePageFitsIntoEveryWindow(t *testing.T) {
	list, _ := json.Marshal(widths)
	result, b := browse(t, full(t), fmt.Sprintf(measure, list))
	b.check()
	var found []struct {
		Width, Client, Scroll, Rows, Small int
		Wide, Others                       []string
		Style                              string
	}
	if err := json.Unmarshal([]byte(result), &found); err != nil || len(found) != len(widths) {
		t.Fatalf("got %s, %v; want what was measured for %v", result, err, widths)
	}
	for _, f := range found {
		// There may be a scroll bar within the width.
		if f.Scroll > f.Client || f.Client > f.Width || len(f.Wide) > 0 {
			t.Errorf("%d pixels wide: got %d of %d, beyond the edge %q; want nothing to scroll sideways", f.Width, f.Scroll, f.Client, f.Wide)
		}
		if want := 30 + len(hostile); f.Rows != want || f.Style != "12px" || f.Small > 0 || len(f.Others) > 0 {
			t.Errorf("%d pixels wide: got %+v, want %d origins, the style applied, no text below 11 pixels, nothing loaded", f.Width, f, want)
		}
	}
}

const renewal = `<!DOCTYPE html><meta charset="utf-8"><body><script>
const frame = document.createElement("iframe");
frame.style.cssText = "width:1280px;height:900px";
const say = x => fetch("/result", { method: "POST", body: JSON.stringify(x) });
frame.onload = async () => {
	const page = frame.contentDocument;
	const wait = async what => { while (!what()) await new Promise(f => setTimeout(f, 50)); };
	// The host may be still being looked into when the page comes for the first time.
	await wait(() => page.getElementById("good"));
	const totals = () => page.getElementById("totals").textContent.replace(/\s+/g, " ");
	const before = totals();
	page.getElementById("good").open = true;
	page.getElementById("sort-0-open").focus();
	page.getElementById("q").value = "being typed";
	await fetch("/more");
	await wait(() => page.querySelector("#transports").textContent.includes("more.example:80"));
	const out = {
		before, after: totals(),
		focus: page.activeElement.id, open: page.getElementById("good").open, typed: page.getElementById("q").value,
		live: page.getElementById("live").getAttribute("aria-pressed"), state: page.getElementById("state").textContent,
	};
	page.getElementById("live").click();
	out.paused = page.getElementById("live").getAttribute("aria-pressed") + " " + page.getElementById("live").textContent;
	say(out);
};
frame.src = "/debug/stayopen?sort=host&limit=100";
document.body.append(frame);
</script>`

func TestThePageRenewsItselfAndLeavesTheReaderInPeace(t *testing.T) {
	result, b := browse(t, full(t), renewal)
	b.check()
	var got struct {
		Before, After, Focus, Typed, Live, State, Paused string
		Open                                             bool
	}
	if err := json.NewDecoder(bytes.NewBufferString(result)).Decode(&got); err != nil {
		t.Fatalf("%s: %v", result, err)
	}
	if got.Before == got.After {
		t.Errorf("got the totals as they were, want new ones: %s", got.After)
	}
	if got.Focus != "sort-0-open" || !got.Open || got.Typed != "being typed" || got.Live != "true" || got.State != "" || got.Paused != "false Paused" {
		t.Errorf("got %+v, want the focus, what was opened and what was typed to stay, and a button that pauses", got)
	}
	if n := b.paths["/debug/stayopen"]; n < 2 {
		t.Errorf("the page was asked for %d times, want again", n)
	}
}
