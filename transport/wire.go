package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// wire is the connection that net/http's ClientConn speaks on: TCP, TLS over
// it, or whatever a dial function returned. It counts HTTP's own bytes (above
// TLS), notes whose doing its end was, and sees to it that every close is
// counted once.
type wire struct {
	net.Conn                      // where HTTP's bytes go
	given    net.Conn             // what httptrace's GotConnInfo shows: what was dialed, or the *tls.Conn over it
	tcp      *dialer.Conn         // beneath Conn; nil if there is no TCP connection to be found
	owns     bool                 // closing Conn closes tcp, which then keeps the record of it
	tls      *tls.ConnectionState // nil without TLS

	written    atomic.Int64 // bytes of HTTP
	broke      atomic.Bool  // a Read or Write failed before we closed: the peer's doing, or the network's
	halfClosed atomic.Bool  // CloseWrite was called, and nothing had failed by then
	reset      atomic.Bool  // close by RST: what is unsent is of no use to anybody

	busy     *atomic.Bool // HTTP/1 only: whether an exchange runs
	farewell atomic.Bool  // HTTP/1 only: a 408 came while none ran, which is how some servers end an idle connection

	frames    *frames // HTTP/2 only; owned by the reader
	onSettled func()  // called once, when the peer's settings have been handled
	onGoAway  func()  // called once, when the peer's GOAWAY has been handled
	goneAway  atomic.Bool

	undecided  func() bool             // reports whether conclude will be called, and is to close; may be nil
	unfinished func() bool             // reports whether an exchange is being broken off; may be nil
	mode       func() dialer.CloseMode // how to close in good order; nil is by FIN, at once
	farewells  *farewells              // where a close that waits for the peer is noted
	closed     atomic.Bool
	closing    sync.Once
	closeErr   error
	gone       bool   // Conn is closed, though what to think of that is undecided
	onGone     func() // called once, when nothing can be done with the connection any more; may be nil

	ending  sync.Once
	onClose func(dialer.CloseRecord) // called once, with the final record
}

func (w *wire) Read(p []byte) (int, error) {
	if w.frames != nil {
		w.tell() // whoever asks for more has handled what it had
	}
	n, err := w.Conn.Read(p)
	if w.frames != nil {
		w.frames.add(p[:n])
		if w.frames.goAway {
			w.goneAway.Store(true)
		}
	}
	if w.busy != nil && !w.busy.Load() && is408(p[:n]) {
		w.farewell.Store(true)
	}
	w.note(err)
	return n, err
}

// is408 reports whether p begins a response of status 408, by net/http's
// condition.
func is408(p []byte) bool {
	return len(p) >= len("HTTP/1.x 408") && string(p[:7]) == "HTTP/1." && string(p[8:12]) == " 408"
}

// tell passes on what the frames have told, once each.
func (w *wire) tell() {
	if f := w.onSettled; f != nil && w.frames.settled {
		w.onSettled = nil
		f()
	}
	if f := w.onGoAway; f != nil && w.frames.goAway {
		w.onGoAway = nil
		f()
	}
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.written.Add(int64(n))
	w.note(err)
	return n, err
}

// ReadFrom lets a file leave by sendfile where Conn can do that.
func (w *wire) ReadFrom(r io.Reader) (int64, error) {
	rf, ok := w.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	var src *source
	if !isFile(r) {
		src = &source{r: r}
		r = src
	}
	n, err := rf.ReadFrom(r)
	w.written.Add(n)
	// The error may be that of reading r, which is the request's affair.
	if src != nil && src.err == nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		w.note(err)
	}
	return n, err
}

// isFile reports whether r is what package net sends by sendfile: a file, or, as
// net/http has it, a part of one. It must then see r itself.
func isFile(r io.Reader) bool {
	if l, ok := r.(*io.LimitedReader); ok {
		r = l.R
	}
	_, ok := r.(*os.File)
	return ok
}

// source remembers the error that reading ended with.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// note keeps in mind that the connection failed under us.
func (w *wire) note(err error) {
	if err != nil && !w.closed.Load() {
		w.broke.Store(true)
	}
}

// CloseWrite serves the writable body of an upgraded connection.
func (w *wire) CloseWrite() error {
	if cw, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		w.halfClosed.Store(!w.broke.Load())
		return cw.CloseWrite()
	}
	return fmt.Errorf("transport: CloseWrite on a %T: %w", w.Conn, http.ErrNotSupported)
}

// tlsCloseTimeout bounds what sending close_notify to a peer that does not read
// may take; crypto/tls itself allows 5 s.
const tlsCloseTimeout = 250 * time.Millisecond

// Close closes the connection, now or, where the peer is waited for, soon, and
// sees to it that the close is counted when its record is final. ClientConn calls
// it with its mutex held: nothing here, nor in the functions called, calls a
// ClientConn.
func (w *wire) Close() error {
	w.closing.Do(func() {
		w.closed.Store(true)
		if w.undecided == nil || !w.undecided() {
			w.closeErr = w.finish()
			return
		}
		// Meanwhile net/http's calls have to end.
		if w.tcp != nil {
			w.Conn.SetDeadline(time.Unix(1, 0))
		} else {
			w.gone = true
			w.closeErr = w.Conn.Close()
		}
	})
	return w.closeErr
}

// conclude closes what Close has left undecided.
func (w *wire) conclude() {
	w.closing.Do(func() {}) // waits for Close
	w.finish()
}

// finish is the rest of Close.
func (w *wire) finish() error {
	err := w.close()
	if w.onGone != nil {
		w.onGone()
	}
	return err
}

// ended counts the close.
func (w *wire) ended(record dialer.CloseRecord) { w.ending.Do(func() { w.onClose(record) }) }

func (w *wire) close() error {
	if w.tcp == nil {
		record := w.guess()
		var err error
		if !w.gone {
			err = w.Conn.Close()
		}
		w.ended(record)
		return err
	}
	if w.reset.Load() || w.unfinished != nil && w.unfinished() {
		if w.owns {
			err := w.tcp.Reset()
			w.Conn.Close() // wakes crypto/tls's readers; sends nothing any more
			record, _ := w.tcp.CloseRecord()
			w.ended(record)
			return err
		}
		w.tcp.SetLinger(0)
	}
	if !w.owns {
		record := w.tcp.CloseState()
		record.By = w.began(record.By)
		err := w.closeInTime(w.Conn.Close)
		w.ended(record)
		return err
	}
	return w.closeBy(w.chooseMode())
}

// chooseMode tells the TCP connection how it is to be closed.
func (w *wire) chooseMode() (m dialer.CloseMode) {
	if w.mode == nil {
		return m
	}
	m = w.mode()
	w.tcp.SetCloseMode(m)
	if m.PeerFirst > 0 && !w.farewells.begin(w.tcp, m) {
		m.PeerFirst = 0
		w.tcp.SetCloseMode(m)
	}
	return m
}

// closeBy closes in good order.
func (w *wire) closeBy(m dialer.CloseMode) error {
	correct := w.began
	if w.tls != nil {
		// Who ends TLS ends the connection, whoever's FIN is then first.
		by := w.began(w.tcp.CloseState().By)
		correct = func(dialer.Initiator) dialer.Initiator { return by }
	}
	closed := func(record dialer.CloseRecord) {
		record.By = correct(record.By)
		w.ended(record)
		if m.PeerFirst > 0 {
			w.farewells.end(w.tcp)
		}
	}
	w.tcp.OnClose(closed)
	err := w.closeConn(m)
	// It was called already, unless the peer is waited for, or the connection
	// had been closed past us.
	if record, final := w.tcp.CloseRecord(); final {
		closed(record)
	}
	return err
}

func (w *wire) closeConn(m dialer.CloseMode) error {
	tc, ok := w.Conn.(*tls.Conn)
	switch {
	case w.tls == nil:
		return w.Conn.Close()
	case ok && m.ResetIfClean && m.PeerFirst <= 0 && w.tcp.CloseState().Reset:
		// Now there is nothing to lose. After close_notify there would be, until
		// the peer has acknowledged it; and that may be lost.
		return w.closeInTime(func() error {
			tc.CloseWrite()
			err := w.tcp.Reset()
			tc.Close() // wakes its readers
			return err
		})
	}
	return w.closeInTime(w.Conn.Close)
}

// began corrects who ended the connection, which TCP was asked for, by what
// those above it know. HTTP's 408 on an idle connection is the peer's word that
// it ends. TLS's close_notify comes before the FIN (RFC 8446, section 6.1), and
// a peer may answer ours with its own FIN before ours goes out.
func (w *wire) began(by dialer.Initiator) dialer.Initiator {
	switch {
	case by == dialer.UnknownInitiator:
	case w.farewell.Load():
		return dialer.Peer
	case w.tls == nil:
	case w.halfClosed.Load():
		return dialer.Local
	case w.broke.Load():
		return dialer.Peer
	}
	return by
}

// closeInTime has TLS closed.
func (w *wire) closeInTime(close func() error) error {
	timer := time.AfterFunc(tlsCloseTimeout, func() { w.tcp.Close() })
	defer timer.Stop()
	return close()
}

// guess is the record where no kernel can be asked.
func (w *wire) guess() dialer.CloseRecord {
	by := dialer.Local
	if w.broke.Load() {
		by = dialer.Peer
	}
	return dialer.CloseRecord{By: by, At: time.Now()}
}

// stale is why the connection is known to be of no use for another exchange,
// without waiting for anything: the peer has closed it, or (HTTP/1 without TLS,
// where nothing may come unasked) has sent something. Otherwise it is empty.
func (w *wire) stale(http2 bool) reason {
	if w.closed.Load() || w.broke.Load() {
		return reasonPeer
	}
	if w.tcp == nil {
		return ""
	}
	switch w.tcp.Peek() {
	case dialer.ClosedByPeer:
		return reasonPeer
	case dialer.HasData:
		// TLS says goodbye before it closes, and so may HTTP/2: what waits may
		// be followed by the peer's FIN. Over TLS it may also be no data at all,
		// but a ticket or a new key: net/http's reader, which is woken by now,
		// tells them apart.
		if w.tcp.CloseState().By == dialer.Peer {
			return reasonPeer
		}
		if !http2 && w.tls == nil {
			return reasonUnasked
		}
	}
	return ""
}
