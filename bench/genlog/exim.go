package main

// newEximID makes a message id: base-62 seconds, a process part and a fraction.
func (s *sim) newEximID(m *msg) {
	s.seq++
	b := m.qid[:0]
	put := func(v uint64, n int) {
		var t [12]byte
		for i := n - 1; i >= 0; i-- {
			t[i] = b62[v%62]
			v /= 62
		}
		b = append(b, t[:n]...)
	}
	put(uint64(s.now), 6)
	b = append(b, '-')
	if s.cfg.queueIDs == "long" { // since 4.97
		put(s.seq*7919, 11)
		b = append(b, '-')
		put(s.seq*31%14776336, 4)
	} else {
		put(s.seq, 6)
		b = append(b, '-')
		put(s.seq*31%3844, 2)
	}
	m.qlen = uint8(len(b))
}

func hostIP(h string) (string, string) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i] == '[' {
			return h[:i], h[i:]
		}
	}
	return h, ""
}

func (s *sim) eventExim(k uint8, mi int32) {
	m := &s.msgs[mi]
	r := s.r
	switch k {
	case evArrive:
		m.arrival = s.now
		s.newEximID(m)
		s.arriveExim(m)
		s.wh.add(s.now+int64(r.n(3)), evTry, mi)
	case evTry:
		s.tryExim(m, mi)
	}
}

func (s *sim) arriveExim(m *msg) {
	r := s.r
	s.messages++
	s.begin()
	s.qid(m)
	s.str(" <= ")
	if m.from >= 0 {
		s.b = append(s.b, s.w.addr(m.from)...)
	} else {
		s.str("<>")
	}
	switch m.kind {
	case kindDSN:
		s.str(" R=")
		s.b = append(s.b, m.refQid[:m.refLen]...)
		s.str(" U=Debian-exim P=local")
	default:
		h, ip := hostIP(m.host)
		s.str(" H=")
		if h == "unknown" {
			s.str("([192.168.1.20])")
		} else {
			s.str(h)
		}
		s.b = append(s.b, ' ')
		s.str(ip)
		if m.kind == kindOut {
			s.str(" P=esmtpsa X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no A=plain_server:")
			s.b = append(s.b, s.w.addr(m.from)...)
		} else {
			s.str(" P=esmtps X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no")
		}
	}
	s.str(" S=")
	s.b = appendInt(s.b, int64(m.size))
	if m.kind != kindDSN {
		s.str(" id=")
		s.b = r.hex(s.b, 32)
		s.b = append(s.b, '@')
		s.str(s.w.dom[s.w.adDom[m.from]].name)
	}
	if s.cfg.traps && r.n(6000) == 0 { // log_selector = +subject, and a subject that imitates a bounce
		s.str(` T="Re: ** victim@example.com R=dnslookup T=remote_smtp: SMTP error from remote mail server after RCPT TO:<victim@example.com>: 550 5.1.1 no"`)
		if s.end() {
			s.trapLines++
		}
		return
	}
	s.end()
}

func (s *sim) tryExim(m *msg, mi int32) {
	r := s.r
	if m.tries < 250 {
		m.tries++
	}
	var keep [maxRcpt]int32
	kept := 0
	bounced := false
	lastDom := int32(-1)
	lastSent := false
	for i := 0; i < int(m.n); i++ {
		a := m.rcpt[i]
		o := s.decide(m, a)
		di := s.w.adDom[a]
		d := &s.w.dom[di]
		s.begin()
		s.qid(m)
		switch o.st {
		case stSent:
			if lastSent && di == lastDom {
				s.str(" -> ")
			} else {
				s.str(" => ")
			}
		case stDeferred:
			s.str(" == ")
		default:
			s.str(" ** ")
		}
		agent := "remote_smtp"
		if d.cond == domLocal {
			agent = "dovecot_lmtp"
			s.b = append(s.b, s.w.localPart(a)...)
			s.str(" <")
			s.b = append(s.b, s.w.addr(a)...)
			s.str("> R=local_user T=dovecot_lmtp")
		} else {
			s.b = append(s.b, s.w.addr(a)...)
			if o.conn == coNX {
				agent = "none"
			} else {
				s.str(" R=dnslookup T=remote_smtp")
			}
		}
		dsn := "2.0.0"
		if o.rep != nil {
			dsn = o.rep.dsn
		}
		rel := func() {
			s.str(" H=")
			s.str(d.relay[o.relay])
			s.str(" [")
			s.str(d.relayIP[o.relay])
			s.str("]")
		}
		tls := func() {
			s.str(" X=TLS1.3:ECDHE_X25519__ECDSA_SECP256R1_SHA256__AES_256_GCM:256 CV=yes")
		}
		after := func() {
			switch o.rep.phase {
			case "":
				s.str("SMTP error from remote mail server after initial connection: ")
			case phR:
				s.str("SMTP error from remote mail server after RCPT TO:<")
				s.b = append(s.b, s.w.addr(a)...)
				s.str(">: ")
			case phM:
				s.str("SMTP error from remote mail server after pipelined MAIL FROM:<")
				if m.from >= 0 {
					s.b = append(s.b, s.w.addr(m.from)...)
				}
				s.str("> SIZE=")
				s.b = appendInt(s.b, int64(m.size)+1100)
				s.str(": ")
			default:
				s.str("SMTP error from remote mail server after end of data: ")
			}
			s.text(o.rep.segs, a, m.from, &o, `\n`)
		}
		switch o.st {
		case stSent:
			if d.cond == domLocal {
				s.str(` C="250 2.0.0 <`)
				s.b = append(s.b, s.w.addr(a)...)
				s.str("> ")
				s.b = r.alnum(s.b, 22)
				s.str(` Saved"`)
				break
			}
			rel()
			tls()
			s.str(` C="`)
			s.text(o.rep.segs, a, m.from, &o, `\n`)
			s.str(`"`)
		case stDeferred:
			switch {
			case o.rep != nil && d.cond == domLocal:
				s.str(" defer (-44): LMTP error from remote mail server after end of data: ")
				s.text(o.rep.segs, a, m.from, &o, `\n`)
			case o.rep != nil:
				s.str(" defer (-4")
				if o.rep.phase == phD {
					s.str("6)")
				} else {
					s.str("4)")
				}
				rel()
				tls()
				s.str(": ")
				after()
			case o.conn == coTryAgain:
				dsn = "4.4.3"
				s.str(" defer (-1): host lookup did not complete")
			case o.conn == coLost:
				dsn = "4.4.2"
				s.str(" defer (-18)")
				rel()
				s.str(": Remote host closed connection in response to initial connection")
			case o.conn == coRefused:
				dsn = "4.4.1"
				s.str(" defer (111)")
				rel()
				s.str(": Connection refused")
			case o.conn == coSuspended:
				dsn = "4.4.1"
				s.str(" defer (-53): retry time not reached for any host for '")
				s.str(d.name)
				s.str("'")
			default:
				dsn = "4.4.1"
				s.str(" defer (110)")
				rel()
				s.str(": Connection timed out")
			}
		default:
			if o.conn == coNX {
				dsn = "5.4.4"
				s.str(": Unrouteable address")
				break
			}
			rel()
			tls()
			s.str(": ")
			after()
		}
		if s.end() {
			s.count(a, &o, agent, dsn)
		}
		if o.st == stDeferred {
			keep[kept] = a
			kept++
		} else if o.st == stBounced {
			bounced = true
		}
		lastDom, lastSent = di, o.st == stSent
	}
	m.n = uint8(kept)
	m.rcpt = keep
	expired := kept > 0 && s.now-m.arrival >= s.cfg.lifetime
	if expired {
		for i := 0; i < kept; i++ {
			s.begin()
			s.qid(m)
			s.str(" ** ")
			s.b = append(s.b, s.w.addr(keep[i])...)
			s.str(": retry timeout exceeded")
			if s.end() {
				s.status[stExpired]++
				s.w.dom[s.w.adDom[keep[i]]].expired++
			}
		}
	}
	if (bounced || expired) && m.kind == kindOut {
		ni := s.alloc()
		m = &s.msgs[mi]
		n := &s.msgs[ni]
		n.kind, n.from, n.n, n.arrival = kindDSN, -1, 1, s.now
		n.size = m.size/2 + 2800
		n.rcpt[0] = m.from
		n.refQid, n.refLen = m.qid, m.qlen
		s.newEximID(n)
		s.arriveExim(n)
		s.wh.add(s.now, evTry, ni)
	}
	if kept == 0 || expired {
		s.begin()
		s.qid(m)
		s.str(" Completed")
		s.end()
		s.freeM = append(s.freeM, mi)
		return
	}
	s.wh.add(s.now+s.backoff(m), evTry, mi)
}

func (s *sim) noiseExim() {
	r := s.r
	x := s.cfg.rate / 86400 * s.cfg.noise * diurnal(s.now)
	n := int(x)
	if r.p(x - float64(n)) {
		n++
	}
	for i := 0; i < n; i++ {
		u := r.u64()
		_, ip := hostIP(s.w.bots[u%uint64(len(s.w.bots))])
		a := int32(s.w.nRcpt + s.w.local.draw(r))
		s.begin()
		switch k := u >> 20 & 15; {
		case k < 4:
			s.str("H=(mail.spam.example) ")
			s.str(ip)
			s.str(" F=<promo@spam.example> rejected RCPT <")
			s.b = append(s.b, s.w.addr(a)...)
			s.str(">: relay not permitted")
		case k < 7:
			s.str("H=(mail.spam.example) ")
			s.str(ip)
			s.str(" F=<promo@spam.example> rejected RCPT <")
			s.b = append(s.b, s.w.addr(a)...)
			s.str(">: ")
			s.str(ip[1 : len(ip)-1])
			s.str(" is listed at zen.spamhaus.org (127.0.0.4: https://www.spamhaus.org/query/ip/")
			s.str(ip[1 : len(ip)-1])
			s.str(")")
		case k < 11:
			s.str("plain_server authenticator failed for ([192.168.1.7]) ")
			s.str(ip)
			s.str(": 535 Incorrect authentication data (set_id=")
			s.b = append(s.b, s.w.addr(a)...)
			s.str(")")
			s.end()
			continue
		case k < 14:
			s.str("no host name found for IP address ")
			s.str(ip[1 : len(ip)-1])
			s.end()
			continue
		default:
			s.str("SMTP connection from ")
			s.str(ip)
			s.str(" lost D=1m2s")
			s.end()
			continue
		}
		if s.end() {
			s.rejects++
		}
	}
}
