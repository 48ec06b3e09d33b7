package directory

import (
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Who gives a setting that cannot be hears which one, and what is allowed.
func TestSettingsAreExplained(t *testing.T) {
	for want, s := range map[string]mail.Settings{
		"":                                     {QuotaBytes: 1, QuotaMessages: 1, Copies: cluster.ReplicaSetMax},
		"quota in bytes is -5: it must not":    {QuotaBytes: -5},
		"quota in messages is -6: it must not": {QuotaMessages: -6},
		"spread is -7: it must not":            {Spread: -7},
		"number of copies is -8: it must not":  {Copies: -8},
		"number of copies is 9: at most 8":     {Copies: cluster.ReplicaSetMax + 1},
	} {
		err := checkSettings(s)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("checkSettings(%+v) = %v, want %q", s, err, want)
		}
	}
}
