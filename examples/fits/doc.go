// Package fits shows where a [dialer.Dialer] fits in: wherever a library takes a
// function that dials. Most want the signature of net.Dialer's DialContext, which
// is that of dialer.Dialer's. The examples are in the tests, and run against real
// servers.
//
//	net/http                 http.Transport.DialContext
//	google.golang.org/grpc   grpc.WithContextDialer
//	pgx                      pgconn.Config.DialFunc
//	go-redis                 redis.Options.Dialer
//	gorilla/websocket        websocket.Dialer.NetDialContext
//	k8s.io/client-go         rest.Config.Dial
//	golang.org/x/net/proxy   proxy.ContextDialer, and SOCKS5 through it
package fits

import (
	"golang.org/x/net/proxy"

	"github.com/stayopen-go/stayopen/dialer"
)

var (
	_ proxy.Dialer        = (*dialer.Dialer)(nil)
	_ proxy.ContextDialer = (*dialer.Dialer)(nil)
)
