package message

import "porcupine/internal/cluster"

// Limits of what is looked at and kept of one message. Beyond a limit nothing is refused: what is
// there is still given out octet for octet, but it is not taken apart. Attack 21 and 22 are made of such
// messages.
const (
	DepthMax        = 32        // multiparts and messages in one another
	PartsMax        = 1000      // parts in all; the last one is opaque and has the rest of the message
	BoundaryMax     = 256       // octets of a boundary (RFC 2046 §5.1.1 allows 70); a longer one is none
	HeaderFieldsMax = 2000      // fields of one header that are read
	HeaderReadMax   = 1 << 20   // octets of one header that are read
	FieldLengthMax  = 64 << 10  // octets of one field that are read
	AddressesMax    = 1000      // addresses and marks of groups in one list of an envelope
	ParamsMax       = 64        // parameters of one field
	ParamLengthMax  = 4 << 10   // octets of a parameter's value
	TokenMax        = 64        // octets of a type, an encoding, or a parameter's name (RFC 6838 §4.2)
	LanguagesMax    = 16        // language tags of a part
	ReferencesMax   = 200       // references of a message: the first one, and the last ones
	MessageIDMax    = 998       // octets of a message id; a longer one is none (RFC 5322 §2.1.1)
	TextMax         = 256 << 10 // octets of texts from headers that Build keeps in memory, of all parts
	// PreviewLengthMax is the length of a preview, in characters (RFC 8970 §3.1).
	PreviewLengthMax = 200
	// SizeMax is the size of an index as Append writes it, in octets. Texts are left out of a larger one:
	// see Build.
	SizeMax = cluster.DerivedSizeMax
)
