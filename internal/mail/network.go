package mail

import "net/netip"

// NetworkOf gives the network that per-client limits count by: the address itself for IPv4
// (IPv4 in IPv6 included), the /64 for IPv6, which is what one customer has. All addresses that
// are not valid are one network, the zero Prefix.
func NetworkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// IsOfThisSite reports an address of a private network or of this machine. What connects from there, such as webmail or a mail server in
// front of this one, brings the mail of many: limits for one network do not fit it.
func IsOfThisSite(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback()
}

// SiteOf gives the IPv6 /48 that a network lies in: one site, or many customers of one provider,
// so limits by it are wider. IPv4 has none.
func SiteOf(network netip.Prefix) (site netip.Prefix, ok bool) {
	if !network.Addr().Is6() {
		return netip.Prefix{}, false
	}
	site, err := network.Addr().Prefix(48)
	return site, err == nil
}
