"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
  const MEDIALS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ";
  const FINALS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";

  /**
   * A letter of a Hangul syllable (conjoining jamo) in a form that can be read by itself: an initial as ㄴ, a medial
   * as ㅏ, a final as -ㄴ. Null for any other token.
   */
  elman.letterOf = (token) => {
    const code = token.length === 1 ? token.charCodeAt(0) : 0;
    const final = FINALS[code - 0x11a8];
    return INITIALS[code - 0x1100] ?? MEDIALS[code - 0x1161] ?? (final ? `-${final}` : null);
  };
})();
