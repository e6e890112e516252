package hostcheck

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// answer is a message as the kernel sends it.
func answer(kind, flags uint16, seq uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = append(binary.NativeEndian.AppendUint32(b, 0), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

// timeWaitMessage is a TIME_WAIT from 10.0.0.1:4660 to 10.0.0.2:443 with half a
// minute to go.
func timeWaitMessage() []byte {
	b := make([]byte, sizeofDiagMessage)
	b[0], b[1], b[2] = unix.AF_INET, byte(TimeWait), diagTimerTimeWait
	copy(b[4:], []byte{0x12, 0x34, 0x01, 0xbb})
	copy(b[8:], []byte{10, 0, 0, 1})
	copy(b[24:], []byte{10, 0, 0, 2})
	binary.NativeEndian.PutUint32(b[52:], 30_000)
	return b
}

func numbered(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func TestAnAnswerIsReadToItsEnd(t *testing.T) {
	var got []Socket
	d := dump{seq: 7, filter: &Filter{}, visit: func(s *Socket) bool { got = append(got, *s); return true }}
	part := answer(unix.SOCK_DIAG_BY_FAMILY, 0, 7, append(timeWaitMessage(), 1, 2, 3, 4, 5)) // attributes, unaligned
	part = append(part, answer(unix.SOCK_DIAG_BY_FAMILY, 0, 6, timeWaitMessage())...)        // of an earlier question
	part = append(part, answer(unix.NLMSG_NOOP, 0, 7, nil)...)
	if done, err := d.read(part); done || err != nil {
		t.Fatalf("got %v, %v, want more to come", done, err)
	}
	if done, err := d.read(answer(unix.NLMSG_DONE, 0, 7, numbered(0))); !done || err != nil {
		t.Errorf("got %v, %v, want the end", done, err)
	}
	want := Socket{State: TimeWait, Local: netip.MustParseAddrPort("10.0.0.1:4660"), Remote: netip.MustParseAddrPort("10.0.0.2:443"), Expires: 30 * time.Second}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want one %+v", got, want)
	}
}

func TestAnAnswerThatIsBrokenIsAnError(t *testing.T) {
	short := answer(unix.SOCK_DIAG_BY_FAMILY, 0, 7, make([]byte, 10))
	long := answer(unix.SOCK_DIAG_BY_FAMILY, 0, 7, timeWaitMessage())
	for name, test := range map[string]struct {
		part []byte
		want string
	}{
		"a message cut off":          {long[:40], "of 40"},
		"half a heading":             {long[:7], "too few for a message"},
		"a size of nothing":          {make([]byte, 16), "has 0 bytes"},
		"half a socket":              {short, "too few for a socket"},
		"an error":                   {answer(unix.NLMSG_ERROR, 0, 7, numbered(-int32(unix.EACCES))), "permission denied"},
		"an error at the end":        {answer(unix.NLMSG_DONE, 0, 7, numbered(-int32(unix.ENOMEM))), "cannot allocate"},
		"an interruption":            {answer(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP_INTR, 7, timeWaitMessage()), "interrupted"},
		"an interruption at the end": {answer(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 7, numbered(0)), "interrupted"},
		"messages lost":              {answer(unix.NLMSG_OVERRUN, 0, 7, nil), "interrupted"},
	} {
		d := dump{seq: 7, filter: &Filter{}, visit: func(*Socket) bool { return true }}
		_, err := d.read(test.part)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, test.want)
		}
		if test.want == "interrupted" && !errors.Is(err, errInterrupted) {
			t.Errorf("%s: got %v, want one that makes Take begin again", name, err)
		}
	}
}

func FuzzAnswersOfAnyShapeAreSurvived(f *testing.F) {
	f.Add(answer(unix.SOCK_DIAG_BY_FAMILY, 0, 7, timeWaitMessage()))
	f.Add(answer(unix.NLMSG_DONE, 0, 7, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := dump{seq: 7, filter: &Filter{}, visit: func(*Socket) bool { return true }}
		d.read(b)
	})
}

func TestReadingASocketAllocatesNothing(t *testing.T) {
	part := answer(unix.SOCK_DIAG_BY_FAMILY, 0, 7, timeWaitMessage())
	d := dump{seq: 7, filter: &Filter{}, visit: func(*Socket) bool { return true }}
	if n := testing.AllocsPerRun(100, func() { d.read(part) }); n != 0 {
		t.Errorf("got %v allocations for a socket, want 0", n)
	}
}

func TestRowsThatAreBrokenAreErrors(t *testing.T) {
	const good = "   1: 0100007F:1F90 0200007F:C350 06 00000000:00000000 03:00000BB8 00000000     0        0 0 3 0000"
	var s Socket
	if err := s.parseRow([]byte(good)); err != nil || s.State != TimeWait || s.Expires != 30*time.Second {
		t.Fatalf("%q: got %+v, %v, want a TIME_WAIT with 30 s to go", good, s, err)
	}
	for _, row := range []string{"", "0:", good[:20], strings.Replace(good, "0100007F", "01007F", 1), strings.Replace(good, " 06 ", " zz ", 1), strings.Replace(good, "03:", "03 ", 1)} {
		if err := s.parseRow([]byte(row)); err == nil {
			t.Errorf("%q: got %+v, want an error", row, s)
		}
	}
}

func TestNumbersAreFoundInBothForms(t *testing.T) {
	var a, b int
	into := map[string]*int{"a": &a, "b": &b}
	for _, text := range []string{"X: c 1 d 2\nTCP: a 3 x 4 b 5\n", "TCP: a x b\nTCP: 3 4 5\nTCPx: a b\nTCPx: 1 2\n"} {
		a, b = 0, 0
		if err := pairs(text, "TCP:", into); err != nil || a != 3 || b != 5 {
			t.Errorf("%q: got %d and %d, %v, want 3 and 5", text, a, b, err)
		}
	}
	if err := pairs("TCP: a x b\nTCP: 3 4 many\n", "TCP:", into); err == nil {
		t.Error("got no error, want one for what is no number")
	}
}
