package smtpserver

import (
	"cmp"
	"time"
)

// Limits bound what one client may take. A value of zero or less stands for the default, so
// that no limit can be switched off by leaving it out.
type Limits struct {
	MessageSizeMax int64 // bytes of a message as the client sends it; default 50 MiB
	RecipientsMax  int   // of one message; default 100 (RFC 5321 §4.5.3.1.8)
	MessagesMax    int   // of one connection; default 1,000
	ReceivedMax    int   // Received headers of a message; more are a loop; default 50

	MemoryMax      int   // bytes of one message kept in memory, the rest goes to disk; default 256 KiB
	MemoryTotalMax int64 // bytes of all messages kept in memory; default 64 MiB. Config.Room bounds those on the disk

	GreetingDelay   time.Duration // how long to look for early talkers; default: only what has come already
	GreetingTimeout time.Duration // until the first command has come; default 30 s
	CommandTimeout  time.Duration // until any later command has come; default 5 min (RFC 5321 §4.5.3.2.7)
	DataTimeout     time.Duration // silence inside a message; default 3 min (RFC 5321 §4.5.3.2.5)
	DataRateMin     int64         // bytes a second, on average, after DataTimeout; default 1,024
	DataEarnedMax   time.Duration // silence that a client may save up by sending faster, beyond DataTimeout; default 10 min
	DataMax         time.Duration // inside one message; default 2 h
	WriteTimeout    time.Duration // for the client to take replies; default 1 min
	SessionMax      time.Duration // of one connection; default 2 h
	VerifyTimeout   time.Duration // of one Delivery.Verify or Means; default 30 s
	DeliverTimeout  time.Duration // of one Delivery.Deliver; default 9.5 min: a client waits for ten (RFC 5321 §4.5.3.2.6)
	LingerMax       time.Duration // for a client that was cut off to read why; default 2 s

	CommandsMax     int // of one connection, BDAT of 4 KiB and more not counted; default 10,000
	IdleCommandsMax int // NOOP, RSET, EHLO and the like since the last message; default 250
	BadCommandsMax  int // refused for syntax or order, of one connection; default 20
	AuthFailuresMax int // failed logins of one connection; default 3

	// RefusedMax is how many recipients may be refused for good on one connection; default 20. Like
	// TarpitAfter, it does not hold for LMTP, nor at an MX server for clients from private networks and from this machine:
	// they bring the mail of many.
	RefusedMax int
	// NetworkRefusedMax is how many recipients may be refused for good to one network, over all its
	// connections to an MX server, before its next ones are put off; default 200. All networks of an
	// IPv6 /48 together have four times as many. Each
	// NetworkRefusedEvery, one of them is forgiven; default 5 s.
	NetworkRefusedMax   int
	NetworkRefusedEvery time.Duration

	TarpitAfter    int           // refused recipients before answers become slow; default 3
	TarpitDelay    time.Duration // added to the answer for each one beyond; default 1 s
	TarpitDelayMax time.Duration // of one answer; default 5 s
}

// withDefaults fills in what was left out.
func (l Limits) withDefaults() Limits {
	size := func(v *int64, def int64) { *v = cmp.Or(max(*v, 0), def) }
	count := func(v *int, def int) { *v = cmp.Or(max(*v, 0), def) }
	span := func(v *time.Duration, def time.Duration) { *v = cmp.Or(max(*v, 0), def) }

	size(&l.MessageSizeMax, 50<<20)
	count(&l.RecipientsMax, 100)
	count(&l.MessagesMax, 1000)
	count(&l.ReceivedMax, 50)
	count(&l.MemoryMax, 256<<10)
	size(&l.MemoryTotalMax, 64<<20)

	l.GreetingDelay = max(l.GreetingDelay, 0)
	span(&l.GreetingTimeout, 30*time.Second)
	span(&l.CommandTimeout, 5*time.Minute)
	span(&l.DataTimeout, 3*time.Minute)
	size(&l.DataRateMin, 1024)
	span(&l.DataEarnedMax, 10*time.Minute)
	span(&l.DataMax, 2*time.Hour)
	span(&l.WriteTimeout, time.Minute)
	span(&l.SessionMax, 2*time.Hour)
	span(&l.VerifyTimeout, 30*time.Second)
	span(&l.DeliverTimeout, 9*time.Minute+30*time.Second)
	span(&l.LingerMax, 2*time.Second)

	count(&l.CommandsMax, 10_000)
	count(&l.IdleCommandsMax, 250)
	count(&l.BadCommandsMax, 20)
	count(&l.AuthFailuresMax, 3)

	count(&l.RefusedMax, 20)
	count(&l.NetworkRefusedMax, 200)
	span(&l.NetworkRefusedEvery, 5*time.Second)
	count(&l.TarpitAfter, 3)
	span(&l.TarpitDelay, time.Second)
	span(&l.TarpitDelayMax, 5*time.Second)
	return l
}
