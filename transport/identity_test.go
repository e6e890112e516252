package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"time"
)

// peerCurves keeps handshakes cheap: the others have no assembly, and under the
// race detector cost more than all the rest.
var peerCurves = []tls.CurveID{tls.CurveP256}

// peerIdentity is the peers' certificate, and a pool that trusts it. Made here
// because net/http/httptest's, with RSA, costs a handshake ten times as much.
var peerIdentity = sync.OnceValue(func() (id struct {
	cert  tls.Certificate
	roots *x509.CertPool
}) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Unix(1<<33, 0), // not by the clock, which in a synctest bubble is another
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	id.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	id.roots = x509.NewCertPool()
	id.roots.AddCert(leaf)
	return id
})
