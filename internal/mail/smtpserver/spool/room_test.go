package spool

import (
	"net/netip"
	"strings"
	"testing"

	"porcupine/internal/cluster"
)

// A Room has shares for networks and sites, a total, and what the disk leaves beyond its reserve.
func TestRoom(t *testing.T) {
	const none = 1 << 40
	type taking struct {
		from string // "": nobody in particular
		n    int64
		want cluster.Kind // 0: there is room
	}
	tests := []struct {
		name  string
		spare int64
		steps []taking
	}{
		{"one network", none, []taking{{"192.0.2.1", 250, 0}, {"192.0.2.1", 1, cluster.KindLimit}, {"192.0.2.2", 250, 0}}},
		{"IPv4 in IPv6", none, []taking{{"192.0.2.1", 250, 0}, {"::ffff:192.0.2.1", 1, cluster.KindLimit}}},
		{"one IPv6 network", none, []taking{{"2001:db8:1:1::1", 250, 0}, {"2001:db8:1:1::2", 1, cluster.KindLimit}}},
		{"one site", none, []taking{{"2001:db8:1:1::1", 250, 0}, {"2001:db8:1:2::1", 250, 0}, {"2001:db8:1:3::1", 1, cluster.KindLimit}, {"2001:db8:2:3::1", 1, 0}}},
		{"webmail, of many users", none, []taking{{"127.0.0.1", 250, 0}, {"127.0.0.1", 250, 0}, {"::ffff:10.0.0.1", 500, 0}, {"fd00::1", 1, cluster.KindLimit}}},
		{"nobody in particular", none, []taking{{"", 1000, 0}, {"", 1, cluster.KindLimit}}},
		{"in all", none, []taking{{"", 900, 0}, {"192.0.2.1", 101, cluster.KindLimit}, {"192.0.2.1", 100, 0}}},
		{"the disk's reserve", 400, []taking{{"", 201, cluster.KindFull}, {"", 200, 0}, {"192.0.2.1", 1, cluster.KindFull}}},
		{"less than the reserve is free", -1, []taking{{"", 1, cluster.KindFull}}},
	}
	for _, tt := range tests {
		free := tt.spare
		r := NewRoom(RoomConfig{OctetsMax: 1000, Spare: func() (int64, bool) { return free, true }})
		refused := int64(0)
		for i, s := range tt.steps {
			var from netip.Addr
			if s.from != "" {
				from = netip.MustParseAddr(s.from)
			}
			err := r.take(from, s.n, false)
			if again := r.take(from, s.n, true); (again == nil) != (err == nil) {
				t.Errorf("%s, step %d: asked %v, then taken %v", tt.name, i, err, again)
			}
			switch {
			case s.want != 0 && !cluster.IsKind(err, s.want), s.want == 0 && err != nil:
				t.Errorf("%s, step %d: take %d from %q = %v, want kind %v", tt.name, i, s.n, s.from, err, s.want)
			case err == nil:
				free -= s.n
			default:
				refused += 2
			}
		}
		if r.Refused() != refused {
			t.Errorf("%s: Refused = %d, want %d", tt.name, r.Refused(), refused)
		}
	}
}

// What the disk has left is read now and then only: until it is read again nothing is taken from the reserve either.
func TestRoomWithAnOldReading(t *testing.T) {
	const read = 1000
	r := NewRoom(RoomConfig{OctetsMax: 1 << 20, Spare: func() (int64, bool) { return read, true }})
	for r.take(netip.Addr{}, 10, true) == nil {
	}
	if got := r.Octets(); got > read || got < read/2 {
		t.Errorf("%d octets taken of a disk that had %d, want half or more, and not all", got, read)
	}
}

// What a message has of the Room comes back with its end, also after a failure.
func TestRoomIsGivenBack(t *testing.T) {
	from := netip.MustParseAddr("2001:db8::1")
	for _, size := range []int{100, 20_000, 99_000, 101_000} {
		r := NewRoom(RoomConfig{OctetsMax: 400_000})
		m := NewIn(r, Dir(t.TempDir()), 16<<10, 1<<20).NewMessageFrom(from)
		_, err := m.Write([]byte(strings.Repeat("x", size)))
		if err == nil {
			err = m.Finish()
		}
		if want := size > 100_000; cluster.IsKind(err, cluster.KindLimit) != want {
			t.Errorf("a message of %d octets where one network may have 100,000: %v", size, err)
		}
		if inFile := size > 16<<10; (r.Octets() > 0) != inFile {
			t.Errorf("a message of %d octets has %d on the disk", size, r.Octets())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if r.Octets() != 0 || len(r.byNetwork) != 0 {
			t.Errorf("a message of %d octets is gone; %d octets, networks %v are counted still", size, r.Octets(), r.byNetwork)
		}
	}
}

// A message that is too big for what is left is refused before it is sent, one that may fit in memory is not.
func TestAdmits(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.1")
	s := NewIn(NewRoom(RoomConfig{OctetsMax: 400_000}), Dir(t.TempDir()), 64<<10, 1<<20)
	for size, want := range map[int64]bool{0: true, 64 << 10: true, 100_000: true, 100_001: false} {
		if err := s.Admits(from, size); (err == nil) != want {
			t.Errorf("Admits(%d) = %v, want %v", size, err, want)
		}
	}
}
