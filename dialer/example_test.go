package dialer_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/stayopen-go/stayopen/dialer"
)

// A Dialer can stand wherever a dial function is wanted.
func ExampleDialer() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
	}))
	defer server.Close()

	d := &dialer.Dialer{
		Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, // the addresses of this host to dial from
	}
	tr := &http.Transport{DialContext: d.DialContext}
	defer tr.CloseIdleConnections()

	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// When no source is left, the error says which were tried.
func ExampleSourceError() {
	d := &dialer.Dialer{
		Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, // not an address of this host
	}
	_, err := d.Dial("tcp", "127.0.0.1:80")
	var failed *dialer.SourceError
	if errors.As(err, &failed) {
		fmt.Println("to", failed.Destination, "from", failed.Sources)
	}
	// Output: to 127.0.0.1:80 from [192.0.2.1]
}
