* pmos-sram at ff: one fin of the 7 nm node as a BSIM4 card for stock ngspice.
* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.
.model pmos_sram_ff pmos (
+ level=14 version=4.8 tnom=25 mobmod=0 capmod=2 rdsmod=0
+ igcmod=0 igbmod=0 paramchk=0 ndep=1e+18 k1=0 k2=0
+ k3=0 lpe0=0 lpeb=0 dvt0=0 dvt0w=0 dvtp0=0
+ etab=0 dsub=1 uc=0 a0=0 ags=0 a1=0
+ keta=0 b0=0 cit=0 cdsc=0 cdscb=0 voffl=0
+ pdiblc1=0 pdiblc2=0 pscbe1=0 pscbe2=0 kt1l=0 kt2=0
+ uc1=0 cf=0 jss=1e-30 jsws=0 jswgs=0 cjs=0
+ cjsws=0 cjswgs=0 toxe=7.5e-10 toxp=7.5e-10 toxm=7.5e-10 cgso=1.695691e-10
+ cgdo=1.695691e-10 vth0=-0.3136555 nfactor=-0.05306219 eta0=0.2694735 u0=0.170807 vsat=83141.11
+ pclm=0.7269205 minv=1.219617 rdsw=368.2501 ua=7.084619e-10 ub=1.217559e-18 prwg=0.5390826
+ delta=0.05712336 pvag=-0.103407 cdscd=0.0001138129 voff=-0.03185181 a2=0.4581572 vtl=96133.11
+ xn=3 ute=0.104434 kt1=-0.1778076 at=3510.982 ua1=9.936457e-09 ub1=-2.757308e-18
+ prt=104.7533 tvoff=0.001920786 tnfactor=-0.03582225 teta0=0.002532111)
