package daemon

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/mail"
)

// An import has an annotation of its own: one that begins at the same time does not take its number away.
func TestOpenImports(t *testing.T) {
	there := map[string]string{"/private/comment": "mine", importsEntry + "broken": "x 1", importsEntry + "old": mail.MessageID{1}.String()}
	number := func(i int) string { return mail.MessageID{byte(i)}.String() }
	set := func(values map[string]*string) {
		for entry, value := range values {
			if delete(there, entry); value != nil {
				there[entry] = *value
			}
		}
	}
	at := time.Unix(1000, 0)
	before := openImports(there)
	for i := range 2 { // both have read the same
		set(begin(before, importEntry(fmt.Sprint("a\nb", i)), number(i), at))
	}
	if list := openImports(there); len(list) != 2 {
		t.Errorf("of two imports begun at once are known: %v", list)
	}
	for i := 2; i < importsMax+3; i++ {
		at = at.Add(time.Second)
		set(begin(openImports(there), importEntry(fmt.Sprint("a\nb", i)), number(i), at))
	}
	list := openImports(there)
	if len(list) != importsMax || list[0].number != number(3) || list[0].entry != importEntry("a\nb3") || there["/private/comment"] != "mine" {
		t.Errorf("after more than %d: %v", importsMax, list)
	}
}

// What was stored before is known by these ids: they never change.
func TestImportedIDsNeverChange(t *testing.T) {
	const want = "ce955c355213a795cdb470c8b0c30b66"
	got := importedID(mail.MessageID{1}, mail.MessageID{2}).String()
	if got != want || got == importedID(mail.MessageID{2}, mail.MessageID{1}).String() {
		t.Errorf("id = %s, want %s", got, want)
	}
}
