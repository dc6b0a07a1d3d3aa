// What pages have beside HTML: keys, copying, and the place on the page kept when
// htmx renews it. Without this file everything is there but these.
(() => {
  'use strict'
  const root = document.documentElement
  root.classList.add('scripted')

  const typing = e => e.target.closest('input, textarea, select, dialog')
  const rows = () => Array.from(document.querySelectorAll('main [data-row]')).map(x => x.closest('tr, article'))
  let here = -1, waiting = 0

  const linkOf = row => row.querySelector('h2 a[href], td.name a[href], td a[href]')

  const go = step => {
    const list = rows()
    if (!list.length) return
    const old = list.findIndex(x => x.classList.contains('here'))
    list.forEach(x => x.classList.remove('here'))
    here = Math.min(Math.max((old < 0 ? (step > 0 ? -1 : list.length) : old) + step, 0), list.length - 1)
    list[here].classList.add('here')
    const link = linkOf(list[here])
    if (link) link.focus({ preventScroll: true })
    list[here].scrollIntoView({ block: 'nearest' })
  }

  const copy = async button => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy)
    } catch {
      // No clipboard without TLS beyond localhost: select it, for the hand.
      getSelection().selectAllChildren(button.previousElementSibling)
      return
    }
    const first = button.firstChild
    first.data = 'copied'
    setTimeout(() => { first.data = 'copy' }, 1500)
  }

  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return
    if (typing(e)) {
      if (e.key === 'Escape') e.target.blur()
      return
    }
    const after = waiting
    waiting = 0
    if (after && e.timeStamp - after < 1500) {
      const tab = document.querySelector(`nav a[data-key="${CSS.escape(e.key)}"]`)
      if (tab) { e.preventDefault(); tab.click() }
      return
    }
    switch (e.key) {
      case '/': e.preventDefault(); document.getElementById('q').focus(); document.getElementById('q').select(); break
      case 'j': go(1); break
      case 'k': go(-1); break
      case 'g': waiting = e.timeStamp; break
      case 'c': { const b = document.querySelector('.foot .copy'); if (b) copy(b); break }
      case '?': document.getElementById('keys').showModal(); break
    }
  })

  document.addEventListener('click', e => {
    const button = e.target.closest('.copy')
    if (button) copy(button)
    if (e.target.closest('#show-keys')) document.getElementById('keys').showModal()
  })
})()
