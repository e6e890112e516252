package nettrace

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
)

func TestTheContextAnswersLookups(t *testing.T) {
	want := []string{"192.0.2.1", "2001:db8::1"}
	ctx := context.WithValue(t.Context(), LookupIPAltResolverKey{}, func(_ context.Context, _, host string) ([]net.IPAddr, error) {
		if host != "made-up.example" {
			return nil, errors.New("no such host")
		}
		var addrs []net.IPAddr
		for _, a := range want {
			addrs = append(addrs, net.IPAddr{IP: net.ParseIP(a)})
		}
		return addrs, nil
	})
	got, err := Resolver().LookupHost(ctx, "made-up.example")
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := Resolver().LookupHost(ctx, "another.example."); err == nil {
		t.Errorf("another host: got %q, want the error of the function", got)
	}
}
