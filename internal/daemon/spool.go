package daemon

import "porcupine/internal/mail/smtpserver/spool"

// rooms bound what messages that come in have on this node's disk before they are stored.
type rooms struct {
	strangers *spool.Room // mail from outside: its senders have shown no more than an address
	users     *spool.Room // what users submit, append and copy, and imports: strangers cannot take it
}

func (d *daemon) newRooms() rooms {
	cfg := spool.RoomConfig{OctetsMax: int64(d.cfg.SMTP.SpoolMax), Spare: d.store.Spare}
	return rooms{strangers: spool.NewRoom(cfg), users: spool.NewRoom(cfg)}
}

// roomOf gives the room of a service.
func (r rooms) roomOf(loginNeeded bool) *spool.Room {
	if loginNeeded {
		return r.users
	}
	return r.strangers
}

// spoolFigures are those of the rooms.
func spoolFigures(gauge, counter adder) {
	gauge("spool_bytes", "Bytes on the disk of messages from outside that are coming in.", func(s *snapshot) float64 { return float64(s.rooms.strangers.Octets()) })
	gauge("spool_users_bytes", "The same of messages that users bring.", func(s *snapshot) float64 { return float64(s.rooms.users.Octets()) })
	counter("spool_refused_total", "Messages from outside put off since those that are coming in had what they may have of the disk.", func(s *snapshot) float64 { return float64(s.rooms.strangers.Refused()) })
	counter("spool_users_refused_total", "The same of messages that users bring.", func(s *snapshot) float64 { return float64(s.rooms.users.Refused()) })
}
