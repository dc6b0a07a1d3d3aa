// Package judge determines why a delivery attempt failed: the reason, who has to act, and the rule
// that decided. Rules are data (rules.toml). Their conditions apply to the template of the reply
// (see bounce.Split) and its codes. Judgements are cached, because the same replies occur again and
// again.
package judge

import (
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bouncelog/bounce"
)

// A Judge determines why attempts failed. It is safe for concurrent use.
type Judge struct {
	rules     []Rule
	users     int        // number of the user's rules, which come first
	ready     sync.Once  // compile has run
	compiled  []compiled // parallel to rules
	providers []Provider
	concepts  []Concept

	words, links *matcher           // of the literals in texts, and in URLs
	wordForms    [][]form           // by the matcher's number: the forms in the rules
	linkForms    [][]form           //
	literals     int                // number of forms
	claims       [][]int32          // by form: the rules with it in any or url
	byEnhanced   map[uint32][]int32 // rules without text, by subject and detail
	byCode       []int32            // rules without text or enhanced code
	byConcept    []int32            // rules with concepts, in order
	conceptsOf   [][]int32          // by form: the concepts with it as a word

	hosts     hostNode
	hostNames map[string]int32 // numbers of the names in rules: suffixes and providers' ids
	classes   []hostClass      // number 0 is no class
	classOf   map[string]uint16

	guesser guesser
	asked   facts // the facts in conditions of rules and in ownSide
	memory  memory
	scratch sync.Pool // *scratch
}

// A form is a literal as one rule writes it: with or without word boundaries.
type form struct {
	number      int32
	length      int
	left, right bool // a word boundary is required there
}

// compiled is a rule prepared for matching.
type compiled struct {
	any, all, not, url, notURL []int32 // forms
	hosts                      []int32 // numbers of host names; see hostClass
	codes                      []codeRange
	enhanced                   []enhancedPattern
	stages                     uint16  // bits
	when, unless               facts   // all of these, none of those
	over                       []int32 // rules
	has, lacks                 []int32 // concepts
	user                       bool
	extra                      int // number of conditions beside the text, which breaks ties
	re                         atomic.Pointer[regexp.Regexp]
}

type codeRange struct{ lo, hi uint16 }

type enhancedPattern struct {
	class int // 0: 4 or 5
	rest  uint32
}

func enhancedRest(e bounce.EnhancedCode) uint32 { return uint32(e % 1_000_000) }

// scratch is the working memory of one judgement.
type scratch struct {
	f     folded
	found bitset
	rules []int32
	held  []holds // see best
	seen  bitset
	said  []uint64 // by concept: the sentences that hold it, one bit each

	features []uint32 // see guess
	split    []byte
	args     []byte
}

// New returns a judge with the built-in rules and, before them, the user's rules (each argument is
// the text of a TOML file). Errors name the rule, or the line and the key.
func New(userRules ...[]byte) (*Judge, error) {
	j := &Judge{byEnhanced: map[uint32][]int32{}, guesser: builtinGuesser}
	var providers []Provider
	for _, text := range userRules {
		file, err := parseRules(text)
		if err != nil {
			return nil, err
		}
		providers = append(providers, file.providers...)
		j.concepts = append(j.concepts, file.concepts...)
		j.rules = append(j.rules, file.rules...)
	}
	users := len(j.rules)
	j.rules = append(j.rules, builtinRules...)
	j.rules = append(j.rules, codeRules()...)
	j.providers = append(providers, builtinProviders()...)
	j.concepts = append(j.concepts, builtinConcepts...)
	ids := make(map[string]bool, len(j.rules))
	for i := range j.rules {
		if ids[j.rules[i].ID] {
			return nil, fmt.Errorf("rule %s: another rule has the same id", j.rules[i].ID)
		}
		ids[j.rules[i].ID] = true
		for _, name := range slices.Concat(j.rules[i].Has, j.rules[i].Lacks) {
			if !slices.ContainsFunc(j.concepts, func(c Concept) bool { return c.ID == name }) {
				return nil, fmt.Errorf("rule %s: there is no concept %q", j.rules[i].ID, name)
			}
		}
	}
	j.users = users
	j.asked = ownHop | factLocal | factSubmission | factPassedOn | factNamesSender
	for i := range j.rules {
		j.asked |= factsNamed(j.rules[i].When) | factsNamed(j.rules[i].Unless)
	}
	j.hostTree()
	j.scratch.New = func() any { return new(scratch) }
	return j, nil
}

// compile builds the indexes. It runs before the first judgement that is not cached: a command that
// reads stored verdicts does not need them.
func (j *Judge) compile() {
	var words, links literalSet
	total := 0
	for i := range j.rules {
		total += len(j.rules[i].Any) + len(j.rules[i].All) + len(j.rules[i].Not)
	}
	words.init(total)
	links.init(256)
	j.compiled = make([]compiled, len(j.rules))
	slab := make([]int32, 0, total+512)
	forms := func(set *literalSet, list []string) []int32 {
		from := len(slab)
		for _, l := range list {
			slab = append(slab, set.add(l, &j.literals))
		}
		return slab[from:len(slab):len(slab)]
	}
	number := make(map[string]int32, len(j.rules))
	for i := range j.rules {
		number[j.rules[i].ID] = int32(i)
	}
	for i := range j.rules {
		r, c := &j.rules[i], &j.compiled[i]
		j.setConditions(c, r)
		c.user = i < j.users
		for _, id := range r.Over {
			if n, ok := number[id]; ok {
				c.over = append(c.over, n)
			}
		}
		c.any, c.all, c.not = forms(&words, r.Any), forms(&words, r.All), forms(&words, r.Not)
		c.url, c.notURL = forms(&links, r.URL), forms(&links, r.NotURL)
		if len(c.any)+len(c.url)+len(c.has) == 0 {
			for _, p := range c.enhanced {
				j.byEnhanced[p.rest] = append(j.byEnhanced[p.rest], int32(i))
			}
		}
		for _, l := range [...]int{len(c.hosts), len(c.codes), len(c.enhanced), int(c.stages), len(c.all), int(c.when)} {
			if l > 0 {
				c.extra++
			}
		}
		switch {
		case len(c.has) > 0:
			j.byConcept = append(j.byConcept, int32(i))
		case len(c.any)+len(c.url)+len(c.enhanced) == 0:
			j.byCode = append(j.byCode, int32(i))
		}
	}
	var conceptForms [][]int32
	for i := range j.concepts {
		conceptForms = append(conceptForms, forms(&words, j.concepts[i].Any))
	}
	j.words, j.wordForms = newMatcher(words.patterns), words.forms
	j.links, j.linkForms = newMatcher(links.patterns), links.forms
	j.claims = make([][]int32, j.literals)
	j.conceptsOf = make([][]int32, j.literals)
	for i, list := range conceptForms {
		for _, f := range list {
			j.conceptsOf[f] = append(j.conceptsOf[f], int32(i))
		}
	}
	for i := range j.compiled {
		c := &j.compiled[i]
		for _, f := range c.any {
			j.claims[f] = append(j.claims[f], int32(i))
		}
		for _, f := range c.url {
			j.claims[f] = append(j.claims[f], int32(i))
		}
	}
}

// setConditions compiles the conditions of a rule that are not literals.
func (j *Judge) setConditions(c *compiled, r *Rule) {
	for _, h := range r.Host {
		c.hosts = append(c.hosts, j.hostNames[h])
	}
	for _, s := range r.Code {
		n := uint16(s[0]-'0') * 100
		if s[1] == 'x' {
			c.codes = append(c.codes, codeRange{n, n + 99})
			continue
		}
		n += uint16(s[1]-'0')*10 + uint16(s[2]-'0')
		c.codes = append(c.codes, codeRange{n, n})
	}
	for _, s := range r.Enhanced {
		p := enhancedPattern{}
		if s[0] != 'x' {
			p.class = int(s[0] - '0')
		}
		first, last, _ := enhancedRange(s)
		for e := first; e <= last; e++ {
			p.rest = enhancedRest(e)
			c.enhanced = append(c.enhanced, p)
		}
	}
	for _, s := range r.Stage {
		st, _ := bounce.ParseStage(s)
		c.stages |= 1 << st
	}
	c.when, c.unless = factsNamed(r.When), factsNamed(r.Unless)
	for _, name := range r.Has {
		c.has = append(c.has, j.conceptNumber(name))
	}
	for _, name := range r.Lacks {
		c.lacks = append(c.lacks, j.conceptNumber(name))
	}
}

func factsNamed(names []string) (all facts) {
	for _, name := range names {
		f, _ := parseFact(name)
		all |= f
	}
	return all
}

func (j *Judge) conceptNumber(id string) int32 {
	return int32(slices.IndexFunc(j.concepts, func(c Concept) bool { return c.ID == id }))
}

// A literalSet assigns numbers to literals.
type literalSet struct {
	patterns []string
	forms    [][]form
	byText   map[string]int   // folded, without bars
	byForm   map[string]int32 // as written
	slab     []form
}

func (s *literalSet) init(n int) {
	s.byText, s.byForm = make(map[string]int, n), make(map[string]int32, n)
	s.patterns, s.forms, s.slab = make([]string, 0, n), make([][]form, 0, n), make([]form, 0, n)
}

func (s *literalSet) add(l string, count *int) int32 {
	if n, ok := s.byForm[l]; ok {
		return n
	}
	f := form{number: int32(*count)}
	*count++
	s.byForm[l] = f.number
	t := l
	t, f.left = strings.CutPrefix(t, "|")
	t, f.right = strings.CutSuffix(t, "|")
	t = foldLiteral(t)
	f.length = len(t)
	i, ok := s.byText[t]
	if !ok {
		i = len(s.patterns)
		s.byText[t] = i
		s.patterns = append(s.patterns, t)
		s.slab = append(s.slab, f)
		s.forms = append(s.forms, s.slab[len(s.slab)-1:len(s.slab):len(s.slab)])
		return f.number
	}
	s.forms[i] = append(s.forms[i], f)
	return f.number
}

// Judge splits the response of an attempt and judges it. It also returns the template, which is
// stored with the verdict, so that a reply is split once. The verdict is the zero Verdict for
// attempts that did not fail (see bounce.Delivery.Failed).
func (j *Judge) Judge(d *bounce.Delivery) (bounce.Template, bounce.Verdict) {
	if !d.Failed() {
		return bounce.TemplateOf(d), bounce.Verdict{}
	}
	s := j.scratch.Get().(*scratch)
	m := j.remembered(s, d)
	t := bounce.Template{Text: m.template, Args: string(s.args), Situation: m.situation}
	j.scratch.Put(s)
	return t, m.verdict
}

// Verdict is Judge without the template. It allocates nothing for a cached reply.
func (j *Judge) Verdict(d *bounce.Delivery) bounce.Verdict {
	if !d.Failed() {
		return bounce.Verdict{}
	}
	s := j.scratch.Get().(*scratch)
	m := j.remembered(s, d)
	j.scratch.Put(s)
	return m.verdict
}

// remembered splits the response of a failed attempt into s.split and s.args, and returns the
// judgement from the cache or makes it.
func (j *Judge) remembered(s *scratch, d *bounce.Delivery) *judged {
	s.split, s.args = bounce.AppendSplit(s.split[:0], s.args[:0], d.Response)
	a := j.aboutOf(d)
	m := j.memory.get(s.split, a)
	if m == nil {
		m = &judged{string(s.split), j.situation(a.class, a.facts), j.judge(s, string(s.split), a)}
		j.memory.put(a, m)
	}
	return m
}

// Again judges a stored reply in the situation that was stored with it. It reads the texts, codes
// and stage of d, but not the relay and the recipient.
func (j *Judge) Again(d *bounce.Delivery, situation string) bounce.Verdict {
	if !d.Failed() {
		return bounce.Verdict{}
	}
	a := j.codesOf(d)
	a.class, a.facts = j.parseSituation(situation)
	s := j.scratch.Get().(*scratch)
	defer j.scratch.Put(s)
	s.split, s.args = bounce.AppendSplit(s.split[:0], s.args[:0], d.Response)
	return j.judge(s, string(s.split), a)
}

// about holds the inputs of a verdict besides the template.
type about struct {
	enhanced bounce.EnhancedCode
	code     uint16
	class    uint16 // of the relay, see Judge.classes
	facts    facts  // those in conditions of rules
	stage    bounce.Stage
	expired  bool
}

// codesOf returns the part of about that comes from the reply itself.
func (j *Judge) codesOf(d *bounce.Delivery) about {
	a := about{
		enhanced: d.Enhanced, code: d.Code, stage: d.Stage,
		expired: d.Status == "expired" || d.Status == "force-expired",
	}
	if d.Code > 999 {
		a.code = 0
	}
	return a
}

// aboutOf returns all of about.
func (j *Judge) aboutOf(d *bounce.Delivery) about {
	a := j.codesOf(d)
	a.class, a.facts = j.class(d.RelayHost), factsOf(d)&j.asked
	return a
}

// A query is an attempt prepared for matching with rules.
type query struct {
	code     uint16
	enhanced [2]bounce.EnhancedCode // the reply's own, the MTA's
	stage    bounce.Stage
	facts    facts
	class    *hostClass
	s        *scratch
}

// judge returns the verdict of the rule that decides.
func (j *Judge) judge(s *scratch, template string, a about) bounce.Verdict {
	if a.expired {
		return verdict(&statusExpired)
	}
	q := j.query(s, template, a)
	best := j.best(&q, nil)
	decides := &noRule
	if best >= 0 {
		decides = &j.rules[best]
	}
	guess, guessed := j.guess(&q, best)
	v := verdict(decides)
	if guessed {
		v = bounce.Verdict{Reason: guess, Scope: ReasonText(guess).Scope, Rule: guessRule, Confidence: bounce.Guess}
	}
	if v.Detail == "" {
		v.Detail = j.detail(&q, v.Reason)
	}
	if !guessed {
		if b := j.cause(s, a, decides); b >= 0 {
			v = verdict(&j.rules[b])
		}
	}
	switch {
	case a.facts&factNamesSender != 0 && v.Reason.NoMailbox():
		v = verdict(&senderUnknown)
	case a.stage == bounce.StageAuth && slices.Contains(notAtAuth, v.Reason) && !(best >= 0 && j.compiled[best].user):
		v = verdict(&loginAtAuth)
	case v.Scope == bounce.ScopeRecipient && a.facts&factLocal == 0 && !(best >= 0 && j.compiled[best].user):
		if r := beforeRecipient(a.stage, v.Reason); r != nil {
			v = verdict(r)
		}
	}
	ownSide(&v, a.facts)
	return v
}

// notAtAuth are reasons that do not refuse mail in answer to AUTH, where no sender and no message was named: the
// server does not let the account or the address log in.
var notAtAuth = []bounce.Reason{bounce.Reputation, bounce.AuthFailure, bounce.Policy, bounce.SenderRejected, bounce.RecipientRestricted}

// beforeRecipient returns the rule for a reply that seems to be about the recipient, but came before
// RCPT TO named one (RFC 5321 section 3.3): the words "user unknown" or "account disabled" after
// MAIL FROM are about the sender, after AUTH about the login; a domain that does not exist is at
// first the client's. It returns nil if RCPT TO was sent, or if the stage is not known.
func beforeRecipient(s bounce.Stage, r bounce.Reason) *Rule {
	switch s {
	case bounce.StageConnect, bounce.StageHelo, bounce.StageTLS:
		if r == bounce.DomainInvalid {
			return &clientDomain
		}
		return &noRecipientYet
	case bounce.StageAuth:
		return &loginAtAuth
	case bounce.StageMail:
		return &senderAtMail
	}
	return nil
}

// weakReasons are reasons behind which a mechanism without a result may be the cause.
var weakReasons = []bounce.Reason{bounce.Unknown, bounce.Policy, bounce.SenderRejected, bounce.AuthFailure}

// cause tries again without the words around a cause, if those words have decided. It returns the
// rule for the remaining text, or -1.
func (j *Judge) cause(s *scratch, a about, first *Rule) int32 {
	policy := first.Reason == bounce.Policy
	switch {
	case first.Detail == detailCallout: // what follows is what the sender's server said to the other server
	case first.Reason == bounce.AuthFailure && s.f.dropAdvice():
		// Advice on setting up a mechanism is the cause only if no other cause is named.
		q := j.queryFolded(s, a)
		if b := j.best(&q, nil); b >= 0 && j.rules[b].Reason != bounce.Policy && j.rules[b].Reason != bounce.Unknown {
			return b
		}
	case first.Reason == bounce.AuthFailure && s.f.dropAside():
		// The same holds for a mechanism without a result, unless the sender is meant.
		q := j.queryFolded(s, a)
		if b := j.best(&q, nil); b >= 0 && j.rules[b].Tier < TierConcept && !slices.Contains(weakReasons, j.rules[b].Reason) {
			return b
		}
	case first.Tier == TierText && s.f.toCause(a.facts&factLocal != 0, policy):
		// The text after "… rejected:" is the cause, regardless of the words before it. But it does
		// not say whose address is meant: "sender address rejected: domain not found". After
		// "policy:" every cause counts, because a policy is not a cause.
		q := j.queryFolded(s, a)
		b := j.best(&q, nil)
		switch {
		case b < 0 || j.rules[b].Reason == first.Reason:
		case j.rules[b].Tier > TierConcept:
		case policy, !j.rules[b].Reason.AboutAddress() && j.rules[b].Reason != bounce.RelayDenied:
			return b
		}
	}
	return -1
}

// detail returns the detail of the other matching rules with the same reason. For example, a
// provider's code means that authentication failed, and the text says that it was DMARC.
func (j *Judge) detail(q *query, reason bounce.Reason) (detail string) {
	tier, longest := len(tierNames), 0
	for _, r := range q.s.rules {
		rule := &j.rules[r]
		if rule.Detail == "" || rule.Reason != reason || int(rule.Tier) > tier {
			continue
		}
		if length, ok := j.matches(r, q); ok && (int(rule.Tier) < tier || length > longest) && j.finds(r, q) {
			tier, longest, detail = int(rule.Tier), length, rule.Detail
		}
	}
	return detail
}

// detailCallout is the detail of replies after a question to the sender's own server.
const detailCallout = "callout"

var (
	statusExpired = Rule{ID: "status-expired", Reason: bounce.Expired, Scope: bounce.ScopeRemote, Tier: TierText}
	senderUnknown = Rule{ID: "sender-named", Reason: bounce.SenderRejected, Detail: detailCallout, Scope: bounce.ScopeSender, Tier: TierGeneral}
	// See beforeRecipient.
	noRecipientYet = Rule{ID: "no-recipient-yet", Reason: bounce.Unknown, Tier: TierCode}
	clientDomain   = Rule{ID: "client-domain", Reason: bounce.RDNSHelo, Scope: bounce.ScopeSender, Tier: TierGeneral}
	loginAtAuth    = Rule{ID: "login-at-auth", Reason: bounce.RelayDenied, Detail: "login", Scope: bounce.ScopeSender, Tier: TierGeneral}
	senderAtMail   = Rule{ID: "sender-at-mail", Reason: bounce.SenderRejected, Scope: bounce.ScopeSender, Tier: TierText}
	noRule         = Rule{ID: "none", Reason: bounce.Unknown, Tier: TierCode}
)

func verdict(r *Rule) bounce.Verdict {
	return bounce.Verdict{Reason: r.Reason, Detail: r.Detail, Scope: r.Scope, Rule: r.ID, Confidence: r.Tier.confidence()}
}

// query folds the template and finds all literals in it.
func (j *Judge) query(s *scratch, template string, a about) query {
	j.ready.Do(j.compile)
	if s.found == nil {
		s.found, s.seen = newBitset(j.literals), newBitset(len(j.rules))
		s.said = make([]uint64, len(j.concepts))
	}
	s.f.set(template)
	return j.queryFolded(s, a)
}

// queryFolded finds all literals in the folded template.
func (j *Judge) queryFolded(s *scratch, a about) query {
	q := query{
		code: a.code, stage: a.stage, facts: a.facts, class: &j.classes[a.class], s: s,
	}
	q.enhanced[0] = s.f.enhanced
	q.enhanced[1] = a.enhanced
	if q.code == 0 && s.f.code != "" {
		for i := range 3 {
			q.code = q.code*10 + uint16(s.f.code[i]-'0')
		}
	}
	clear(s.found)
	s.rules = s.rules[:0]
	clear(s.seen)
	clear(s.said)
	j.lookUp(s, j.words, j.wordForms, s.f.text)
	for _, r := range j.byConcept {
		if s.says(&j.compiled[r]) {
			s.candidate(r)
		}
	}
	if len(s.f.urls) > 1 {
		j.lookUp(s, j.links, j.linkForms, s.f.urls)
	}
	// Rules without text.
	for _, e := range q.enhanced {
		if e != 0 {
			for _, r := range j.byEnhanced[enhancedRest(e)] {
				s.candidate(r)
			}
		}
	}
	for _, r := range j.byCode {
		s.candidate(r)
	}
	return q
}

func (s *scratch) candidate(r int32) {
	if !s.seen.has(r) {
		s.seen.add(r)
		s.rules = append(s.rules, r)
	}
}

// lookUp records the literals in text and the rules that name them.
func (j *Judge) lookUp(s *scratch, m *matcher, forms [][]form, text []byte) {
	sentence, at := 0, 0
	m.find(text, func(literal int32, end int) {
		for _, f := range forms[literal] {
			concepts := j.conceptsOf[f.number]
			if s.found.has(f.number) && concepts == nil {
				continue
			}
			if f.left && isWord(text[end-f.length-1]) ||
				f.right && isWord(text[end]) {
				continue
			}
			for ; at < end; at++ {
				if (text[at] == '.' || text[at] == ';' || text[at] == '!' || text[at] == '?') && text[at+1] == ' ' && sentence < 63 {
					sentence++
				}
			}
			for _, c := range concepts {
				s.said[c] |= 1 << sentence
			}
			if s.found.has(f.number) {
				continue
			}
			s.found.add(f.number)
			for _, r := range j.claims[f.number] {
				s.candidate(r)
			}
		}
	})
}

// says reports whether one sentence holds a rule's concepts.
func (s *scratch) says(c *compiled) bool {
	sentences := ^uint64(0)
	for _, n := range c.has {
		sentences &= s.said[n]
	}
	for _, n := range c.lacks {
		sentences &^= s.said[n]
	}
	return sentences != 0
}

// best returns the rule that decides, or -1. Among the matching rules of the lowest rank that no
// other such rule is over, it is the one with the longest literal. If claimed is not nil, it is
// called with every matching rule.
func (j *Judge) best(q *query, claimed func(rule int32)) int32 {
	held, lowest := q.s.held[:0], math.MaxInt
	for _, r := range q.s.rules {
		rank := int(j.rules[r].Tier)
		if j.compiled[r].user {
			rank -= 100
		}
		if claimed == nil && rank > lowest {
			continue
		}
		length, ok := j.matches(r, q)
		if !ok || !j.finds(r, q) {
			continue
		}
		if claimed != nil {
			claimed(r)
		}
		if rank < lowest {
			held, lowest = held[:0], rank
		}
		if rank == lowest {
			held = append(held, holds{r, length})
		}
	}
	q.s.held = held
	best, longest := int32(-1), 0
	for _, h := range held {
		if length := h.length; best >= 0 && (length < longest || length == longest && h.rule > best) {
			continue
		}
		if !slices.ContainsFunc(held, func(o holds) bool {
			return slices.Contains(j.compiled[o.rule].over, h.rule) && !slices.Contains(j.compiled[h.rule].over, o.rule)
		}) {
			best, longest = h.rule, h.length
		}
	}
	if best < 0 && len(held) > 0 { // the rules are over one another in a circle
		best = held[0].rule
	}
	return best
}

// holds is a matching rule and the length of its literal.
type holds struct {
	rule   int32
	length int
}

// matches reports whether a rule's conditions except its expression are met. length is the length
// of the longest literal found, with a small addition for further conditions.
func (j *Judge) matches(r int32, q *query) (length int, ok bool) {
	c := &j.compiled[r]
	if len(c.hosts) > 0 && !slices.ContainsFunc(c.hosts, q.class.has) {
		return 0, false
	}
	if len(c.codes) > 0 && !slices.ContainsFunc(c.codes, func(r codeRange) bool { return q.code >= r.lo && q.code <= r.hi }) {
		return 0, false
	}
	if c.stages != 0 && c.stages&(1<<q.stage) == 0 || q.facts&c.when != c.when || q.facts&c.unless != 0 {
		return 0, false
	}
	if len(c.enhanced) > 0 {
		rank := q.matchEnhanced(c.enhanced)
		if rank < 0 {
			return 0, false
		}
		length += 2 * rank // the reply's own code ranks before the MTA's
	}
	found := q.s.found
	for _, f := range c.not {
		if found.has(f) {
			return 0, false
		}
	}
	for _, f := range c.notURL {
		if found.has(f) {
			return 0, false
		}
	}
	longest := 0
	for i, f := range c.any {
		if found.has(f) {
			longest = max(longest, len(j.rules[r].Any[i]))
		}
	}
	for i, f := range c.url {
		if found.has(f) {
			longest = max(longest, len(j.rules[r].URL[i]))
		}
	}
	if len(c.has) > 0 {
		return math.MaxInt32 - int(r), true // the first rule decides
	}
	if longest == 0 && len(c.any)+len(c.url) > 0 {
		return 0, false
	}
	for i, f := range c.all {
		if !found.has(f) {
			return 0, false
		}
		longest += len(j.rules[r].All[i])
	}
	return length + longest*16 + c.extra, true
}

// finds reports whether a rule's expression, if it has one, matches.
func (j *Judge) finds(r int32, q *query) bool {
	re := j.rules[r].Re
	if re == "" {
		return true
	}
	x := j.compiled[r].re.Load()
	if x == nil {
		x = regexp.MustCompile(foldRe(re)) // it was checked when the rule was read
		j.compiled[r].re.Store(x)
	}
	return x.Match(q.s.f.text)
}

// matchEnhanced returns which code of the query a rule names: 1 the reply's own, 0 the MTA's, -1
// neither. The MTA's code counts only if the reply has none with a meaning.
func (q *query) matchEnhanced(list []enhancedPattern) int {
	for i, e := range q.enhanced {
		if e == 0 || i == 1 && enhancedRest(q.enhanced[0]) != 0 {
			continue
		}
		for _, p := range list {
			if p.rest == enhancedRest(e) && (p.class == 0 && e.Class() != 2 || p.class == e.Class()) {
				return 1 - i
			}
		}
	}
	return -1
}

// Rules yields the rules in the order of their tiers, the user's first.
func (j *Judge) Rules() iter.Seq[Rule] {
	order := make([]int, len(j.rules))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return j.tier(a) - j.tier(b) })
	return func(yield func(Rule) bool) {
		for _, i := range order {
			r := j.rules[i]
			if i < j.users {
				r.Tier = TierUser
			}
			if !yield(r) {
				return
			}
		}
	}
}

func (j *Judge) tier(i int) int {
	if i < j.users {
		return int(j.rules[i].Tier) - 100
	}
	return int(j.rules[i].Tier)
}
