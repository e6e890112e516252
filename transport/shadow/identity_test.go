package shadow_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"
	"time"
)

// identity is the servers' certificate, for example.com. net/http/httptest's,
// with RSA, costs a handshake ten times as much.
var identity = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Unix(1<<33, 0), // not by the clock, which in a synctest bubble is another
		DNSNames:              []string{"example.com"},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// curves keeps handshakes cheap: the others have no assembly, and under the race
// detector cost more than all the rest.
var curves = []tls.CurveID{tls.CurveP256}
