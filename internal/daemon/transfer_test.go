package daemon

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// D6: an import does not go on without the Email id of a message that lies on nodes which are away: it could be one of those that come.
func TestD6_EmailOfWhatIsAway(t *testing.T) {
	here := mail.Summary{ID: mail.MessageID{1}, Email: mail.MessageID{2}, Size: 5}
	if id, err := emailOf(&here); err != nil || id != here.Email.String() {
		t.Errorf("of a message that is here: %q, %v", id, err)
	}
	away := mail.Summary{ID: mail.MessageID{1}, Size: -1}
	if id, err := emailOf(&away); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("of a message that is away: %q, %v; want an error of KindUnavailable", id, err)
	}
}
