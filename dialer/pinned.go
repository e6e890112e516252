package dialer

import (
	"context"
	"net/netip"
)

type (
	sourceKey struct{}
	stickyKey struct{}
)

// WithSource returns a context whose dials are made from the local address src
// and no other, whatever the Dialer's Sources are. It need not be one of them; if
// it is of a prefix there, it need not be configured either.
// A dial to an address of the other family fails with [ErrNoSource], and one from
// an address that this host does not have with a *[SourceError]. An address that
// no connection can come from, such as 0.0.0.0 or one of multicast, fails as it
// does in Sources. A zone is left out: that of the destination counts. The zero
// Addr takes a pin off again.
func WithSource(ctx context.Context, src netip.Addr) context.Context {
	return context.WithValue(ctx, sourceKey{}, src.Unmap().WithZone(""))
}

// PinnedSource returns the address that WithSource put into the context, and the
// zero Addr if there is none.
func PinnedSource(ctx context.Context) netip.Addr {
	src, _ := ctx.Value(sourceKey{}).(netip.Addr)
	return src
}

// WithStickyKey returns a context for whose dials a [Sticky] chooser picks the
// source by the key: a customer, say, or a session, that is to be seen from the
// same address always. Other choosers ignore it. The empty key is none.
func WithStickyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, stickyKey{}, key)
}

// StickyKey returns the key that WithStickyKey put into the context, and "" if
// there is none.
func StickyKey(ctx context.Context) string {
	key, _ := ctx.Value(stickyKey{}).(string)
	return key
}
