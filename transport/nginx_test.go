package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/transport"
)

// nginx closes a connection after so many requests and at once when it was idle
// for 50 ms: the ways in which a real server ends connections under a client.
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
		listen 127.0.0.1:%[3]d ssl http2;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		location / { return 200 "hello"; }
	}
}
`

// startNginx runs nginx until the test ends and returns its ports for HTTP/1.1
// and for HTTP/2 over TLS, what to trust for the latter, and its access log.
func startNginx(t *testing.T) (plain, secure int, roots *x509.CertPool, log string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path = "/usr/sbin/nginx"; !isFile(path) {
			mustrun.Skipf(t, "needs nginx (Debian's package nginx)")
		}
	}
	dir := t.TempDir()
	roots = writeCertificate(t, dir)
	plain, secure = freePort(t), freePort(t)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConf, dir, plain, secure), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf"))
	out := new(strings.Builder)
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	await(t, "nginx to listen "+out.String(), func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", secure))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return plain, secure, roots, filepath.Join(dir, "access.log")
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
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

// writeCertificate makes a certificate for 127.0.0.1, valid for an hour.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, b := range map[string][]byte{
		"cert.pem": certPEM,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return roots
}

func TestNginxMayEndConnectionsAsItLikes(t *testing.T) {
	plain, secure, roots, log := startNginx(t)
	for _, way := range []struct{ proto, url string }{
		{"HTTP/1.1", fmt.Sprintf("http://127.0.0.1:%d/", plain)},
		{"HTTP/2.0", fmt.Sprintf("https://127.0.0.1:%d/", secure)},
	} {
		t.Run(way.proto, func(t *testing.T) {
			const workers, each = 16, 120
			tr := newTransport(t, transport.Config{Template: &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: roots},
				ForceAttemptHTTP2: true,
			}})
			var sent, maybeSent atomic.Int64
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range each {
						id := fmt.Sprintf("%s%s-%d-%d", way.url, way.proto[:6], w, i)
						method := [...]string{"GET", "POST"}[i%2]
						var body io.Reader
						if method == "POST" {
							body = strings.NewReader("body")
						}
						req, _ := http.NewRequest(method, id, body)
						resp, err := tr.RoundTrip(req)
						var maybe *transport.MaybeSentError
						switch {
						case err == nil:
							if resp.Proto != way.proto || resp.StatusCode != 200 && method == "GET" {
								t.Errorf("%s %s: %s %s, want %s 200", method, id, resp.Proto, resp.Status, way.proto)
							}
							io.Copy(io.Discard, resp.Body)
							resp.Body.Close()
							sent.Add(1)
						case method == "POST" && errors.As(err, &maybe):
							maybeSent.Add(1)
						default:
							t.Errorf("%s %s: %v", method, id, err)
						}
						if i%10 == 9 {
							// As long as nginx leaves an idle connection open: the
							// next request meets its close.
							<-time.After(time.Duration(48+w%5) * time.Millisecond)
						}
					}
				})
			}
			wg.Wait()
			if got := sent.Load() + maybeSent.Load(); got != workers*each {
				t.Errorf("%d answered and %d maybe sent, want %d together", sent.Load(), maybeSent.Load(), workers*each)
			}
			st := tr.Stats()
			if st.Opened <= workers/2 && way.proto == "HTTP/1.1" {
				t.Errorf("%d connections opened: nginx closed none, the run is void", st.Opened)
			}
			if st.ClosesAvoided != st.Exchanges-st.Served || st.Active != 0 {
				t.Errorf("at rest: %+v", st)
			}
			t.Logf("%d maybe sent; %+v", maybeSent.Load(), st)
		})
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		if _, post, ok := strings.Cut(line, `"POST `); ok {
			path, _, _ := strings.Cut(post, " HTTP")
			if seen[path] {
				t.Errorf("POST %s is in the log of nginx twice", path)
			}
			seen[path] = true
		}
	}
}
