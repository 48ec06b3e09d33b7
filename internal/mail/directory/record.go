package directory

import (
	"encoding/json"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory/credential"
)

// recordVersion is written into every record. A record of a later version is refused, since a
// change made here would lose what only the later version knows. Fields may be added within a
// version if losing them does no harm.
const recordVersion = 1

// Profile is what the cluster keeps of a user (Porcupine §3, "user profile").
type Profile struct {
	Version    int                   `json:"version"`
	Created    time.Time             `json:"created"`
	Changed    time.Time             `json:"changed"`
	Disabled   bool                  `json:"disabled,omitempty"` // may not log in; mail still comes in
	Credential credential.Credential `json:"credential"`
	Settings   mail.Settings         `json:"settings"`
	// MailAfter is when the last account of this name was removed, zero if there was none. Mail
	// that is not newer was that account's and is never shown to this one (A1).
	MailAfter cluster.Timestamp `json:"mail_after,omitzero"`
}

func checkSettings(s mail.Settings) error {
	for _, n := range []struct {
		what  string
		value int64
	}{{"quota in bytes", s.QuotaBytes}, {"quota in messages", s.QuotaMessages}, {"spread", int64(s.Spread)}, {"number of copies", int64(s.Copies)}} {
		if n.value < 0 {
			return fmt.Errorf("the %s is %d: it must not be negative; 0 is the cluster's or the domain's", n.what, n.value)
		}
	}
	if s.Copies > cluster.ReplicaSetMax {
		return fmt.Errorf("the number of copies is %d: at most %d; 0 is the domain's, or the cluster's", s.Copies, cluster.ReplicaSetMax)
	}
	return nil
}

// Alias is an address that means others. They are canonical.
type Alias struct {
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	Targets []string  `json:"targets"`
}

// Domain is a domain whose mail is ours.
type Domain struct {
	Version    int       `json:"version"`
	Created    time.Time `json:"created"`
	Postmaster string    `json:"postmaster,omitempty"` // canonical address for postmaster@ this domain (RFC 5321 §4.5.1)
	CatchAll   string    `json:"catch_all,omitempty"`  // canonical address for all that nobody has; empty: refused
	Copies     int       `json:"copies,omitempty"`     // nodes that each message of its users lies on; 0: the cluster's number
}

func decodeProfile(b []byte) (*Profile, error) {
	p := new(Profile)
	if err := decodeRecord(b, p, &p.Version); err != nil {
		return nil, fmt.Errorf("user profile: %w", err)
	}
	if err := p.Credential.Check(); err != nil {
		return nil, fmt.Errorf("user profile: %w", err)
	}
	if err := checkSettings(p.Settings); err != nil {
		return nil, fmt.Errorf("user profile: %w", err)
	}
	return p, nil
}

// mailPart is what a delivery or a retrieval needs of a Profile: reading it alone is several times
// cheaper, and they happen all the time.
type mailPart struct {
	Version   int               `json:"version"`
	Settings  mail.Settings     `json:"settings"`
	MailAfter cluster.Timestamp `json:"mail_after"`
}

func decodeMailPart(b []byte) (*mailPart, error) {
	p := new(mailPart)
	if err := decodeRecord(b, p, &p.Version); err != nil {
		return nil, fmt.Errorf("user profile: %w", err)
	}
	if err := checkSettings(p.Settings); err != nil {
		return nil, fmt.Errorf("user profile: %w", err)
	}
	return p, nil
}

func decodeAlias(b []byte) (*Alias, error) {
	a := new(Alias)
	if err := decodeRecord(b, a, &a.Version); err != nil {
		return nil, fmt.Errorf("alias: %w", err)
	}
	if len(a.Targets) == 0 || len(a.Targets) > AliasTargetsMax {
		return nil, fmt.Errorf("alias: %d targets, want 1 to %d", len(a.Targets), AliasTargetsMax)
	}
	for _, t := range a.Targets {
		if err := checkCanonical(t); err != nil {
			return nil, fmt.Errorf("alias: %w", err)
		}
	}
	return a, nil
}

func decodeDomain(b []byte) (*Domain, error) {
	d := new(Domain)
	if err := decodeRecord(b, d, &d.Version); err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	if d.Copies < 0 || d.Copies > cluster.ReplicaSetMax {
		return nil, fmt.Errorf("domain: %d copies, at most %d are possible", d.Copies, cluster.ReplicaSetMax)
	}
	for _, t := range []string{d.Postmaster, d.CatchAll} {
		if t == "" {
			continue
		}
		if err := checkCanonical(t); err != nil {
			return nil, fmt.Errorf("domain: %w", err)
		}
	}
	return d, nil
}

func decodeRecord(b []byte, record any, version *int) error {
	if len(b) > cluster.CachedSizeMax {
		return fmt.Errorf("record of %d octets, at most %d allowed", len(b), cluster.CachedSizeMax)
	}
	if err := json.Unmarshal(b, record); err != nil {
		return err
	}
	if *version < 1 || *version > recordVersion {
		return fmt.Errorf("record version %d is not known here (at most %d): run a newer porcupine", *version, recordVersion)
	}
	return nil
}

func checkCanonical(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return err
	}
	if a.Canonical() != s {
		return fmt.Errorf("address %q is not in canonical form", s)
	}
	return nil
}

// checkRecord decodes a record of the type.
func checkRecord(t cluster.ObjectType, b []byte) error {
	var err error
	switch t {
	case mail.TypeUser:
		_, err = decodeProfile(b)
	case mail.TypeAlias:
		_, err = decodeAlias(b)
	case mail.TypeDomain:
		_, err = decodeDomain(b)
	default:
		err = fmt.Errorf("objects of type %q are not the directory's", t)
	}
	return err
}

func encodeRecord(record any) ([]byte, error) {
	b, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode directory record: %w", err)
	}
	if len(b) > cluster.CachedSizeMax {
		return nil, cluster.Errorf(cluster.KindInvalid, "encode directory record",
			"%d octets, at most %d allowed", len(b), cluster.CachedSizeMax)
	}
	return b, nil
}
