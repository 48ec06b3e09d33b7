package mail

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestUIDSetIsASet compares the set with a map, and checks that it keeps its form.
func TestUIDSetIsASet(t *testing.T) {
	draw := rapid.SliceOf(rapid.OneOf(rapid.Uint32Range(1, 20), rapid.Uint32Range(math.MaxUint32-5, math.MaxUint32)))
	rapid.Check(t, func(t *rapid.T) {
		in := map[UID][2]bool{}
		var sets [2]UIDSet
		for i := range sets {
			var uids []UID
			for _, u := range draw.Draw(t, "uids") {
				uids = append(uids, UID(u))
				m := in[UID(u)]
				m[i] = true
				in[UID(u)] = m
			}
			sets[i] = NewUIDSet(uids...)
		}
		want := func(f func(a, b bool) bool) (uids []UID) {
			for u, m := range in {
				if f(m[0], m[1]) {
					uids = append(uids, u)
				}
			}
			slices.Sort(uids)
			return uids
		}
		for name, c := range map[string]struct {
			got  UIDSet
			want []UID
		}{
			"first":     {sets[0], want(func(a, _ bool) bool { return a })},
			"union":     {sets[0].Union(sets[1]), want(func(a, b bool) bool { return a || b })},
			"intersect": {sets[0].Intersect(sets[1]), want(func(a, b bool) bool { return a && b })},
			"without":   {sets[0].Without(sets[1]), want(func(a, b bool) bool { return a && !b })},
		} {
			if got := slices.Collect(c.got.All()); !slices.Equal(got, c.want) {
				t.Errorf("%s of %v and %v = %v, want %v", name, sets[0], sets[1], got, c.want)
			}
			if c.got.Len() != len(c.want) {
				t.Errorf("%s: Len = %d, want %d", name, c.got.Len(), len(c.want))
			}
			for i, r := range c.got {
				if r.First > r.Last || i > 0 && r.First <= c.got[i-1].Last+1 {
					t.Errorf("%s: %v is not in its form", name, c.got)
				}
			}
			for u := range in {
				if c.got.Contains(u) != slices.Contains(c.want, u) {
					t.Errorf("%s: Contains(%d) = %t", name, u, c.got.Contains(u))
				}
			}
		}
	})
}
