package transport

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
)

func TestFramesAreSeenHoweverTheyAreCutUp(t *testing.T) {
	var wire bytes.Buffer
	w := http2.NewFramer(&wire, nil)
	var ends []int // of the frames
	for _, write := range []func() error{
		func() error { return w.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7}) },
		func() error { return w.WriteSettingsAck() }, // has no payload
		func() error { return w.WriteData(1, false, bytes.Repeat([]byte{goAwayType}, 1000)) },
		func() error { return w.WriteGoAway(1, http2.ErrCodeNo, []byte("bye")) },
		func() error { return w.WriteData(1, true, nil) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, wire.Len())
	}
	all := wire.Bytes()
	for size := 1; size <= len(all); size++ {
		var f frames
		for at := 0; at < len(all); at += size {
			end := min(at+size, len(all))
			f.add(all[at:end])
			if f.settled != (end >= ends[0]) || f.goAway != (end >= ends[3]) {
				t.Fatalf("after %d bytes, %d at a time: settled %v, GOAWAY %v; SETTINGS end at %d, GOAWAY at %d",
					end, size, f.settled, f.goAway, ends[0], ends[3])
			}
		}
	}
}
