"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
  const MEDIALS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ";
  const FINALS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";

  /**
   * A letter of a Hangul syllable (conjoining jamo) in a form that is drawn by itself; null for any other token. Where
   * it is listed without the letters before it, a hyphen tells a final from an initial: -ㄴ.
   */
  elman.letterOf = (token, listed = false) => {
    const code = token?.length === 1 ? token.charCodeAt(0) : 0;
    const final = FINALS[code - 0x11a8];
    return INITIALS[code - 0x1100] ?? MEDIALS[code - 0x1161] ?? (final ? `${listed ? "-" : ""}${final}` : null);
  };
})();
