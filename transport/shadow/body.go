package shadow

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// body is a response's body that tells its request of its end.
type body struct {
	io.ReadCloser
	r    *request
	size int64        // of the whole body; negative: unknown
	read atomic.Int64 // of that
	over atomic.Bool  // its end has been told
}

// writerToBody is a body of a transport whose bodies have WriteTo.
type writerToBody struct{ *body }

// watch has r told of the end of resp's body, and leaves a body alone that is
// the caller's end of a connection.
func (r *request) watch(resp *http.Response) {
	_, writable := resp.Body.(io.Writer)
	switch {
	case writable || resp.StatusCode == http.StatusSwitchingProtocols:
		r.end(model.Lost, 0)
	case resp.Body == nil || resp.Body == http.NoBody:
		r.end(model.Kept, 0)
	default:
		b := &body{ReadCloser: resp.Body, r: r, size: resp.ContentLength}
		resp.Body = b
		if _, ok := b.ReadCloser.(io.WriterTo); ok {
			resp.Body = writerToBody{b}
		}
	}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	switch err {
	case nil:
	case io.EOF:
		b.finish()
	default:
		if b.first() {
			b.r.count.brokens.Add(1)
			b.r.end(model.Lost, 0)
		}
	}
	return n, err
}

// Close tells first: while the transport closes the body it may put the
// connection back, having read the rest, which another would not have done.
func (b *body) Close() error {
	if left := b.left(); left == 0 {
		b.finish()
	} else if b.first() {
		b.r.count.abandoned.Add(1)
		b.r.end(model.Abandoned, left)
	}
	return b.ReadCloser.Close()
}

// WriteTo is the transport's own. What failed, the reading or the writing, it
// does not say; Close will tell.
func (b writerToBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.ReadCloser.(io.WriterTo).WriteTo(w)
	b.read.Add(n)
	if err == nil {
		b.finish()
	}
	return n, err
}

func (b *body) left() int64 {
	if b.size < 0 {
		return -1
	}
	return max(b.size-b.read.Load(), 0)
}

// finish tells that the body was read to its end.
func (b *body) finish() {
	if b.first() {
		b.r.count.bodies.Add(1)
		b.r.end(model.Kept, 0)
	}
}

func (b *body) first() bool { return !b.over.Swap(true) }
