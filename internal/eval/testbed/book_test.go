package testbed

import "testing"

func TestBook(t *testing.T) {
	b := newBook()
	for n := uint64(1); n <= 3; n++ {
		b.acknowledged(n)
	}
	b.saw([]byte(heading(2) + "text"))
	b.saw([]byte(heading(2) + "text")) // a second copy
	b.saw([]byte(heading(7) + "stored, but nobody was told"))
	b.saw([]byte("no heading"))
	if acked, missing := b.missing(); acked != 3 || missing != 2 {
		t.Errorf("missing = %d acknowledged, %d missing, want 3 and 2", acked, missing)
	}
	var none *book
	none.acknowledged(1)
	none.saw(nil)
}
