package imap_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

func uids(u ...mail.UID) mail.UIDSet { return mail.NewUIDSet(u...) }

func TestSetResolve(t *testing.T) {
	known := mail.UIDSet{{First: 2, Last: 4}, {First: 10, Last: 10}, {First: 20, Last: 22}} // 7 messages
	saved := uids(3, 4, 5)
	for _, tt := range []struct {
		set           string
		uids, numbers mail.UIDSet
		beyond        bool
	}{
		{"1", nil, uids(2), false},
		{"2", uids(2), uids(3), false},
		{"2:4", uids(2, 3, 4), uids(3, 4, 10), false},
		{"4:2", uids(2, 3, 4), uids(3, 4, 10), false},
		{"*", uids(22), uids(22), false},
		{"1:*", known, known, false},
		{"*:1", known, known, false},
		{"7", nil, uids(22), false},
		{"8", nil, nil, true},
		{"5,5,1,2:3", uids(2, 3), uids(2, 3, 4, 20), false},
		{"4:5,1,6", uids(4), uids(2, 10, 20, 21), false},
		{"500:*", uids(22), nil, true},
		{"21:*", uids(21, 22), nil, true},
		{"4294967295", nil, nil, true},
		{"1:4294967295", known, nil, true},
		{"$", uids(3, 4), uids(3, 4), false},
		{"2:3,$", uids(2, 3, 4), uids(3, 4), false},
		{"1,$", uids(3, 4), uids(2, 3, 4), false},
		{"8,$", uids(3, 4), nil, true},
	} {
		c, err := parse("a UID EXPUNGE "+tt.set+"\r\n", imap.Dialect{})
		if err != nil {
			t.Fatal(err)
		}
		s := c.Args.(imap.Expunge).Set
		if got := s.UIDs(known, saved); !slices.Equal(got, tt.uids) {
			t.Errorf("%s as UIDs = %v, want %v", tt.set, got, tt.uids)
		}
		got, err := s.Numbers(known, saved)
		if !slices.Equal(got, tt.numbers) || errors.Is(err, imap.ErrBeyond) != tt.beyond {
			t.Errorf("%s as numbers = %v, %v, want %v", tt.set, got, err, tt.numbers)
		}
		if s.String() != tt.set {
			t.Errorf("%s is written %s", tt.set, s)
		}
	}
}

func TestSetOfNothing(t *testing.T) {
	if got := stars.UIDs(nil, nil); len(got) != 0 {
		t.Errorf("* of nothing = %v", got)
	}
	if got, err := stars.Numbers(nil, nil); !errors.Is(err, imap.ErrBeyond) {
		t.Errorf("message * of none = %v, %v, want ErrBeyond", got, err)
	}
	if got := stars.Resolve(0); len(got) != 0 {
		t.Errorf("* of nothing = %v", got)
	}
	if s := (imap.NumSet{}); !s.Empty() || s.String() != "" {
		t.Errorf("the empty set is %q", s)
	}
	all := imap.SetOf(mail.UIDSet{{First: 1, Last: math.MaxUint32}})
	if got := all.Resolve(5); !slices.Equal(got, mail.UIDSet{{First: 1, Last: math.MaxUint32}}) {
		t.Errorf("all = %v", got)
	}
	if got := imap.SetOfNumbers(1, 2, 3, 7, 8, 10).String(); got != "1:3,7:8,10" {
		t.Errorf("SetOfNumbers = %s", got)
	}
}

// The model of a set is to look at every message.
func TestSetAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := mail.NewUIDSet(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mail.UID {
			return mail.UID(rapid.Uint32Range(1, 40).Draw(t, "uid"))
		}), 0, 20).Draw(t, "known")...)
		var s imap.NumSet
		for range rapid.IntRange(1, 5).Draw(t, "ranges") {
			s.Ranges = append(s.Ranges, imap.NumRange{First: rapid.Uint32Range(0, 45).Draw(t, "first"), Last: rapid.Uint32Range(0, 45).Draw(t, "last")})
		}
		all := slices.Collect(known.All())
		in := func(n, largest uint32) bool {
			return slices.ContainsFunc(s.Ranges, func(r imap.NumRange) bool {
				first, last := r.First, r.Last
				if first == imap.Star {
					first = largest
				}
				if last == imap.Star {
					last = largest
				}
				return min(first, last) <= n && n <= max(first, last)
			})
		}
		var byUID, byNumber []mail.UID
		for i, u := range all {
			if in(uint32(u), uint32(all[len(all)-1])) {
				byUID = append(byUID, u)
			}
			if in(uint32(i+1), uint32(len(all))) {
				byNumber = append(byNumber, u)
			}
		}
		if got := s.UIDs(known, nil); !slices.Equal(got, mail.NewUIDSet(byUID...)) {
			t.Fatalf("%s of %v as UIDs = %v, want %v", s, known, got, byUID)
		}
		beyond := len(all) == 0 || slices.ContainsFunc(s.Ranges, func(r imap.NumRange) bool {
			return int(max(r.First, r.Last)) > len(all)
		})
		got, err := s.Numbers(known, nil)
		if beyond != errors.Is(err, imap.ErrBeyond) {
			t.Fatalf("%s of %d messages = %v, beyond %v", s, len(all), err, beyond)
		}
		if !beyond && !slices.Equal(got, mail.NewUIDSet(byNumber...)) {
			t.Fatalf("%s of %v as numbers = %v, want %v", s, known, got, byNumber)
		}
	})
}
