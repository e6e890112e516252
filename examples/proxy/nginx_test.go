package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// nginx closes a connection after so many requests, and at once when it was idle for
// so long: the ways in which a real server ends connections.
const nginxConf = `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 512; }
http {
	access_log %[1]s/access.log combined;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 20;
	keepalive_timeout 50ms;
	server {
		listen 127.0.0.1:%[2]d;
		location / { return 200 "n"; }
	}
}
`

// startNginx runs nginx until the test ends, and returns its URL, its process and its
// access log.
func startNginx(t *testing.T) (url string, process *os.Process, log string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // not in everybody's PATH
		if _, err := os.Stat(path); err != nil {
			mustrun.Skipf(t, "needs nginx (Debian's package nginx)")
		}
	}
	dir := t.TempDir()
	port := freePort(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, port), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	wait(t, "nginx to listen", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "http://" + address, cmd.Process, filepath.Join(dir, "access.log")
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestNginxMayEndConnectionsAndReloadUnderLoad(t *testing.T) {
	url, process, log := startNginx(t)
	r := startProxy(t, "-upstream="+url)
	stop := make(chan struct{})
	var sent, posts, maybe atomic.Int64
	ended := make(chan []error)
	go func() { ended <- r.hammer(8, stop, &sent) }()
	var posting sync.WaitGroup
	for i := range 4 {
		posting.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := r.client.Post(fmt.Sprintf("%s/%d-%d", r.url, i, n), "", strings.NewReader("body"))
				if err != nil {
					t.Errorf("POST: %v", err)
					return
				}
				resp.Body.Close()
				posts.Add(1)
				if resp.StatusCode == http.StatusBadGateway {
					maybe.Add(1) // its connection was lost, and it is not sent twice
				}
			}
		})
	}
	for range 3 {
		from := sent.Load()
		wait(t, "more requests", func() bool { return sent.Load() >= from+200 })
		if err := process.Signal(syscall.SIGHUP); err != nil { // new workers; the old ones close what is idle
			t.Error(err)
		}
	}
	from := sent.Load()
	wait(t, "more requests", func() bool { return sent.Load() >= from+500 })
	close(stop)
	wrong := <-ended
	posting.Wait()
	if len(wrong) > 0 {
		t.Errorf("%d of %d GETs failed, the first: %v", len(wrong), sent.Load(), wrong[0])
	}
	out := r.stop()
	if out.Requests != sent.Load()+posts.Load() || out.Failed != maybe.Load() || out.Stats.Opened < 30 {
		t.Errorf("got %+v and %d connections, want %d GETs, %d POSTs, of which %d failed, and many connections", out.counts, out.Stats.Opened, sent.Load(), posts.Load(), maybe.Load())
	}
	t.Logf("%d GETs, %d POSTs of which %d may have been sent, %+v", sent.Load(), posts.Load(), maybe.Load(), out.Stats)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if _, post, ok := strings.Cut(line, `"POST `); ok {
			path, _, _ := strings.Cut(post, " HTTP")
			if seen[path] {
				t.Errorf("POST %s is in nginx's log twice", path)
			}
			seen[path] = true
		}
	}
}
