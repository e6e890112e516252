package fits_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/armon/go-socks5"
	"golang.org/x/net/proxy"

	"github.com/stayopen-go/stayopen/dialer"
)

// Two SOCKS5 proxies, one behind the other: only the first is dialed from here.
func Example_socks5() {
	server := site()
	defer server.Close()
	first, second := serveSOCKS(), serveSOCKS()
	defer first.Close()
	defer second.Close()

	d := &dialer.Dialer{Control: announce}
	toSecond, err := proxy.SOCKS5("tcp", first.Addr().String(), nil, d)
	if err != nil {
		fmt.Println(err)
		return
	}
	toTarget, err := proxy.SOCKS5("tcp", second.Addr().String(), &proxy.Auth{User: "ann", Password: "secret"}, toSecond)
	if err != nil {
		fmt.Println(err)
		return
	}
	tr := &http.Transport{DialContext: toTarget.(proxy.ContextDialer).DialContext}
	defer tr.CloseIdleConnections()

	resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/far")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output:
	// dialed tcp4
	// /far
}

// serveSOCKS is a SOCKS5 proxy that asks for a password if one is offered.
func serveSOCKS() net.Listener {
	server, err := socks5.New(&socks5.Config{
		AuthMethods: []socks5.Authenticator{socks5.UserPassAuthenticator{Credentials: socks5.StaticCredentials{"ann": "secret"}}, socks5.NoAuthAuthenticator{}},
		Logger:      log.New(io.Discard, "", 0),
	})
	if err != nil {
		panic(err)
	}
	l := listen()
	go server.Serve(l) // ends with the listener
	return l
}
